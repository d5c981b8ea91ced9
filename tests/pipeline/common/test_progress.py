from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.common.progress import Progress


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_prints_at_most_once_every_few_seconds() -> None:
    clock, stream = FakeClock(), io.StringIO()
    progress = Progress("read", 100, every_seconds=3.0, stream=stream, clock=clock)
    for _ in range(40):
        clock.now += 0.25
        progress.advance()
    assert lines(stream) == [
        "read: 12/100 images (12%), 4.0/s, 22s left",
        "read: 24/100 images (24%), 4.0/s, 19s left",
        "read: 36/100 images (36%), 4.0/s, 16s left",
    ]


def test_close_says_what_was_done_and_how_long_it_took() -> None:
    clock, stream = FakeClock(), io.StringIO()
    with Progress("write", 8, unit="shards", stream=stream, clock=clock) as progress:
        progress.advance(8)
        clock.now += 2.0
    assert lines(stream) == ["write: 8/8 shards (100%), 4.0/s, took 2s"]


def test_closing_without_work_prints_nothing() -> None:
    stream = io.StringIO()
    Progress("read", 0, stream=stream).close()
    assert lines(stream) == []


@pytest.mark.parametrize(
    ("total", "expected"), [(11, "10s left"), (201, "3m20s left"), (7501, "2h05m left"), (1, "0s left")]
)
def test_time_left_reads_in_its_own_unit(total: int, expected: str) -> None:
    clock, stream = FakeClock(), io.StringIO()
    progress = Progress("read", total, every_seconds=1.0, stream=stream, clock=clock)
    clock.now += 1.0
    progress.advance()
    assert lines(stream)[0].endswith(expected)


def test_no_work_yet_gives_no_time_left_and_an_unknown_total_no_share() -> None:
    clock, stream = FakeClock(), io.StringIO()
    progress = Progress("read", 0, every_seconds=1.0, stream=stream, clock=clock)
    clock.now += 1.0
    progress.advance(0)
    assert lines(stream) == ["read: 0/0 images, 0.0/s"]


def test_counts_from_many_threads_add_up() -> None:
    progress = Progress("read", 4000, stream=io.StringIO())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: progress.advance(), range(4000)))
    assert progress.done == 4000


def test_default_stream_is_the_stdout_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("read", 1) as progress:
        progress.advance()
    assert capsys.readouterr().out.startswith("read: 1/1 images (100%)")
