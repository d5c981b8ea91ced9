"""Signals: what is said, what is kept, with which status a program ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.commands import COMMANDS
from manifests.common import stopping
from manifests.common.stopping import SIGNALS, Stopped, StopRequest, keeping, sharing, stop_between_steps, stop_raises
from manifests.disk.snapshots import RUN, load
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.attempt import attempt
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, synthetic_rows

JOBS = sorted((Path(__file__).resolve().parents[3] / "jobs").glob("[!_]*.py"))


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """What starts the tests may ignore signals (`nohup`, a job in the background), and they would stay ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_SAME_SECONDS", 0.0)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_raises_and_says_its_name(signum: signal.Signals, status: int) -> None:
    before = handlers()
    with pytest.raises(Stopped) as stopped, stop_raises():
        signal.raise_signal(signum)
    assert (stopped.value.status, str(stopped.value)) == (status, f"stopped by {signum.name}")
    assert handlers() == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_raises(), stop_between_steps() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.received is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_loop_ends_its_step_first() -> None:
    steps = []

    def work() -> None:
        with stop_raises(), stop_between_steps() as stop:
            for step in range(1, 9):
                if step == 3:
                    signal.raise_signal(signal.SIGTERM)
                    signal.raise_signal(signal.SIGTERM)  # `timeout` tells the process and its group
                steps.append(step)
                stop.check(f"step {step} is kept")

    with pytest.raises(Stopped, match="stopped by SIGTERM; step 3 is kept"):
        work()
    assert steps == [1, 2, 3]


def test_a_second_signal_ends_the_step_too(a_second_later: None) -> None:
    def work() -> None:
        with stop_between_steps():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped, match="SIGINT"):
        work()


def test_a_second_signal_ends_what_tidies_up(a_second_later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)

    def work() -> None:
        with stop_raises():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped):
        work()
    assert left == [143]


def test_all_loops_of_a_process_hear_of_one_request() -> None:
    heard: list[int | None] = []

    def loop() -> None:
        with stop_between_steps() as stop:
            heard.append(stop.received)

    with sharing(StopRequest()) as request:
        request.ask(signal.SIGTERM)
        thread = threading.Thread(target=loop)
        thread.start()
        thread.join()
    loop()
    assert heard == [signal.SIGTERM, None]


def test_the_innermost_knows_best_what_is_kept() -> None:
    with pytest.raises(Stopped, match="SIGTERM; inner"), keeping(lambda: "outer"), keeping(lambda: "inner"):
        raise Stopped(signal.SIGTERM)
    with pytest.raises(Stopped, match="SIGINT; outer"), keeping(lambda: "outer"):
        raise KeyboardInterrupt


def test_children_do_not_hear_the_signals() -> None:
    code = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
    with stopping.not_for_children():
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(sorted(map(int, SIGNALS)))
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(SIGNALS)


def test_a_stopped_run_says_so_and_keeps_its_shards(tmp_path: Path) -> None:
    def begin() -> DatasetRun:
        return DatasetRun.start(str(tmp_path / "set"), "synthetic", PLAN_ID, {0: 4, 1: 4}, footer=FOOTER)

    def work(run: DatasetRun) -> None:
        with attempt(run, 2):
            run.sink.commit(0, synthetic_rows(0, 4))
            raise Stopped(signal.SIGTERM)

    run = begin()
    with pytest.raises(Stopped, match=r"SIGTERM; 1 of 2 shards of .*set are kept; the same command"):
        work(run)
    state = load(open_storage(run.uri), RUN)
    assert state is not None
    assert (state["status"], state["reason"]) == ("failed", "stopped by SIGTERM")
    with pytest.raises(UserError, match="stopped by SIGTERM"):
        open_dataset(run.uri)
    assert begin().pending() == [1]


def test_a_command_that_is_stopped_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(COMMANDS["show"], "run", lambda options: signal.raise_signal(signal.SIGTERM))
    assert main(["show", str(tmp_path)]) == 143
    assert capsys.readouterr().err == "stopped by SIGTERM\n"


@pytest.fixture
def interrupted_imports(tmp_path: Path) -> dict[str, str]:
    """An environment in which Ctrl-C is pressed while the first package that is not Python's own is imported."""
    for name in ("cv2", "numpy", "polars", "pyarrow", "pydantic", "torch", "yaml"):
        (tmp_path / f"{name}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    "command", [*([str(job)] for job in JOBS), ["-m", "manifests"]], ids=lambda one: Path(one[-1]).stem
)
def test_ctrl_c_while_modules_are_imported_is_no_traceback(
    command: list[str], interrupted_imports: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        env=interrupted_imports,
        cwd=JOBS[0].parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "stopped by SIGINT\n")
