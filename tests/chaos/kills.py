"""SIGKILL at random moments of a run: the driver, a worker, all of them, rivals; and a driver that was suspended."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from manifests.reading.dataset import open_dataset
from tests.chaos.bench import Bench
from tests.chaos.commands import Forked, strike, timed
from tests.chaos.datasets import look
from tests.chaos.tally import Tally
from tests.chaos.writers import OTHER_PLAN, drive, expected, lead, rival, work
from tests.manifests.manifest_rows import PLAN_ID


def run(bench: Bench) -> Iterator[Tally]:
    """The rows of the table, each when it is complete."""
    seconds = timed(bench.folder, drive, str(bench.folder / "whole"))
    digest = open_dataset(str(bench.folder / "whole")).digest()
    yield drivers(bench, seconds, digest)
    yield workers(bench, seconds)
    yield crews(bench, seconds)
    yield rivals(bench, seconds)
    yield suspended(bench, seconds)


def drivers(bench: Bench, seconds: float, digest: str) -> Tally:
    """A run in one process is killed, perhaps again while it is taken up; the next one ends it with the same bytes."""
    tally = bench.tally("driver killed", 50)
    for place in bench.trials(tally):
        uri = str(place / "set")
        kills = 0
        for _ in range(int(bench.random.integers(1, 4))):
            process = Forked(place, drive, uri)
            kills += strike(process, bench.moment(seconds))
            process.wait()
        if kills:
            again = Forked(place, drive, uri).wait()
            tally.add(look(uri, expected(), digest), again=again)
    return tally


def workers(bench: Bench, seconds: float) -> Tally:
    """One of two workers is killed: the other does its work, nobody starts anything again."""
    tally = bench.tally("one of two workers killed", 30)
    for place in bench.trials(tally):
        uri = str(place / "set")
        driver = Forked(place, lead, uri)
        crew = [Forked(place, work, uri, variant) for variant in (1, 2)]
        killed = strike(crew[0], bench.moment(seconds))
        ended = [process.wait() for process in (*crew, driver)]
        if killed:
            tally.add(look(uri, expected()), ended)
    return tally


def crews(bench: Bench, seconds: float) -> Tally:
    """The driver and both workers are killed at moments of their own; one process takes the run up."""
    tally = bench.tally("driver and both workers killed", 20)
    for place in bench.trials(tally):
        uri = str(place / "set")
        crew = [Forked(place, lead, uri), *(Forked(place, work, uri, variant) for variant in (1, 2))]
        killed = [strike(process, bench.moment(seconds / 3)) for process in crew]
        ended = [process.wait() for process in crew]
        if any(killed):
            again = Forked(place, rival, uri, 9).wait()
            tally.add(look(uri, expected()), ended, again=again)
    return tally


def rivals(bench: Bench, seconds: float) -> Tally:
    """Two drivers of one plan whose rows have different bytes, both killed; a third one ends it."""
    tally = bench.tally("two rival drivers killed", 20)
    for place in bench.trials(tally):
        uri = str(place / "set")
        both = [Forked(place, rival, uri, variant) for variant in (1, 2)]
        killed = [strike(process, bench.moment(seconds / 2)) for process in both]
        ended = [process.wait() for process in both]
        if any(killed):
            again = Forked(place, rival, uri, 9).wait()
            tally.add(look(uri, expected()), ended, again=again)
    return tally


def suspended(bench: Bench, seconds: float) -> Tally:
    """A driver is suspended; others end its run and append a second plan to it; then it goes on with what it knew."""
    tally = bench.tally("driver suspended until others were done", 20)
    for place in bench.trials(tally):
        uri = str(place / "set")
        late = Forked(place, drive, uri, PLAN_ID, False, 1)
        if not strike(late, bench.moment(seconds), signal.SIGSTOP):
            late.wait()
            continue
        others = [Forked(place, drive, uri).wait(), Forked(place, drive, uri, OTHER_PLAN, True).wait()]
        woken = late.signal(signal.SIGCONT)  # False: the stop came when it was about to end
        ended = late.wait()
        if woken:
            tally.add(look(uri, [*expected(), *expected(OTHER_PLAN)]), [*others, ended])
    return tally
