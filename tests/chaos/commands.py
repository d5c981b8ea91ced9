"""Commands in processes of their own that can be stopped at any moment, and what they said."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from manifests.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
_TRACES = re.compile(r"Traceback \(most recent call last\)|Fatal Python error|\*\*\* SIG\w+ received|Stack dump")
_MESSAGE = re.compile(r"^(?:error: |stopped)", re.MULTILINE)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.chaos.writers", "manifests.__main__", "pandas", "PIL.PngImagePlugin"])
PATIENCE = 120.0
"""Seconds after which a process that was not stopped has hung."""


class Ended(NamedTuple):
    """A process that is gone: its exit status (negative: the signal that ended it) and all that it printed."""

    status: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether it had no chance to say anything."""
        return self.status == -signal.SIGKILL

    @property
    def trouble(self) -> str:
        """What is wrong with how it ended, else empty: a traceback, or more or less than one line for a failure."""
        if found := _TRACES.search(self.err) or _TRACES.search(self.out):
            return f"status {self.status}, {found[0]}: {_last_line(self.err or self.out)}"
        if self.status < 0 and not self.killed:
            return f"ended by {signal.Signals(-self.status).name}: {_last_line(self.err)}"
        if self.status > 0 and len(_MESSAGE.findall(self.err)) != 1:
            return f"status {self.status} with {len(_MESSAGE.findall(self.err))} messages: {_last_line(self.err)}"
        return ""


class Running:
    """A process whose output goes to two files in ``log``."""

    def __init__(self, log: Path) -> None:
        log.mkdir(parents=True, exist_ok=True)
        self.out, self.err = log / f"{time.monotonic_ns()}.out", log / f"{time.monotonic_ns()}.err"
        self.out.touch()
        self.err.touch()

    def _ended(self, status: int) -> Ended:
        return Ended(status, self.out.read_text(errors="replace"), self.err.read_text(errors="replace"))


class Forked(Running):
    """A function as a command, forked from a process that has imported everything: up in milliseconds.

    What it raises as `UserError` it says as every command of ours does.
    """

    def __init__(self, log: Path, call: Callable[..., object], *arguments: Any) -> None:
        super().__init__(log)
        self._process = _CONTEXT.Process(target=_as_command, args=(self.out, self.err, call, arguments))
        self._process.start()

    def signal(self, number: int) -> bool:
        """False if it had ended by then; the forking server, not this process, reaps it."""
        assert self._process.pid is not None
        try:
            os.kill(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def alive(self) -> bool:
        return self._process.is_alive()

    def wait(self, timeout: float = PATIENCE) -> Ended:
        """How it ended; killed if it did not for ``timeout`` seconds."""
        self._process.join(timeout)
        hung = self._process.is_alive()
        if hung:
            self._process.kill()
        self._process.join()
        assert self._process.exitcode is not None
        return _hung(timeout) if hung else self._ended(self._process.exitcode)


class Started(Running):
    """A program with its children in a session of their own, so that none of them outlives it."""

    def __init__(self, log: Path, command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> None:
        super().__init__(log)
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})},
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """To the program alone, as a scheduler sends it."""
        self._process.send_signal(number)

    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float = PATIENCE) -> Ended:
        """How it ended; killed with its children if it did not for ``timeout`` seconds."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        _end_session(self._process.pid)
        self._process.wait()
        return _hung(timeout) if status is None else self._ended(status)


def python(*words: str | Path) -> list[str | Path]:
    """A command of this interpreter."""
    return [sys.executable, *words]


def strike(process: Forked, moment: float, number: int = signal.SIGKILL) -> bool:
    """Send a signal ``moment`` seconds from now; False if the process had ended by then."""
    time.sleep(moment)
    return process.alive() and process.signal(number)


@contextlib.contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process, and of programs that it starts, while the block runs."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def timed(log: Path, call: Callable[..., object], *arguments: Any) -> float:
    """Seconds that the command takes when nothing breaks it.

    Raises:
        RuntimeError: it fails.
    """
    Forked(log, int).wait()  # the first of all waits for the process that the others are forked from
    begun = time.monotonic()
    ended = Forked(log, call, *arguments).wait()
    if ended.status != 0:
        raise RuntimeError(f"the unbroken command failed: {ended.err}")
    return time.monotonic() - begun


def _as_command(out: Path, err: Path, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY), number)
    try:
        status = call(*arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = 2
    sys.exit(status if isinstance(status, int) else 0)


def _end_session(leader: int) -> None:
    """Whatever the program left running in its session."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _hung(timeout: float) -> Ended:
    return Ended(1, "", f"it did not end within {timeout:.0f} seconds")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "nothing was said"
