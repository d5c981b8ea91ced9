"""Ctrl-C, SIGTERM and SIGHUP: what a program keeps when it is asked to stop, and the status that it ends with.

How a signal is answered depends on how far the program is: at once and quietly while its modules are imported
(`stop_quietly`), by the exception `Stopped` afterwards (`stop_raises`), and by a flag inside a loop that can save
what it has and stop between two steps (`stop_between_steps`). A signal that comes a second time means "now".
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GO_ON = "the same command takes it up again"

_SAME_SECONDS = 1.0
"""What comes so soon after the first is the same request: `timeout` and others tell the process and its group."""

_Answer = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """The program was asked to stop by ``signum``; ``kept`` says what of its work stays, where somebody knows."""

    def __init__(self, signum: int = signal.SIGINT, kept: str | None = None) -> None:
        super().__init__(signum, kept)
        self.signum, self.kept = signum, kept

    def __str__(self) -> str:
        said = f"stopped by {signal.Signals(self.signum).name}"
        return f"{said}; {self.kept}" if self.kept else said

    @property
    def status(self) -> int:
        """The exit status that shells and schedulers expect: 130, 143 or 129."""
        return 128 + self.signum


class StopRequest:
    """Whether the program was asked to stop, and by which signal; loops look at ``received`` between their steps."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._since = 0.0

    def ask(self, signum: int) -> None:
        """Ask: from a signal's handler, or from a thread that heard of one elsewhere."""
        if self.received is None:
            self.received, self._since = signum, time.monotonic()

    def check(self, kept: str | None = None) -> None:
        """Raises `Stopped` if a stop was asked for; ``kept`` says what stays."""
        if self.received is not None:
            raise Stopped(self.received, kept)

    def note(self, signum: int, frame: FrameType | None) -> None:
        """Answer to a signal inside a loop that looks: the first sets the flag, the second raises."""
        if self._repeated():
            raise Stopped(signum)
        self.ask(signum)

    def interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Answer elsewhere: the first raises, the second ends the process, whatever it is tidying up."""
        if self._repeated():
            _leave(signum, frame)
        if self.received is None:
            self.ask(signum)
            raise Stopped(signum)

    def _repeated(self) -> bool:
        return self.received is not None and time.monotonic() - self._since >= _SAME_SECONDS


_current: StopRequest | None = None
"""The request that all loops of this process share."""


def stop_quietly() -> None:
    """From now on a signal ends the process at once with a line, not with the traceback of whatever is imported."""
    _answer(_leave)


@contextmanager
def stop_raises() -> Iterator[None]:
    """Inside, a signal raises `Stopped`."""
    with sharing(StopRequest()) as request, _answering(request.interrupt):
        yield


@contextmanager
def stop_between_steps() -> Iterator[StopRequest]:
    """Inside, a signal only sets a flag, which the loop is to look at between its steps."""
    request = _current or StopRequest()
    with _answering(request.note):
        yield request


@contextmanager
def sharing(request: StopRequest) -> Iterator[StopRequest]:
    """Inside, ``request`` is the one that every `stop_between_steps` of this process looks at, in all its threads."""
    global _current
    before, _current = _current, request
    try:
        yield request
    finally:
        _current = before


@contextmanager
def keeping(said: Callable[[], str]) -> Iterator[None]:
    """Where a signal ends what is inside, ``said()`` tells what is kept of it, unless something further in has."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if isinstance(stop, Stopped) and stop.kept:
            raise
        raise Stopped(getattr(stop, "signum", signal.SIGINT), said()) from None


@contextmanager
def not_for_children() -> Iterator[None]:
    """Processes that are started inside never hear the signals, which a terminal and `timeout` send to a whole group:
    this process tells them when to stop. One that comes meanwhile is answered afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def report_stop(stop: KeyboardInterrupt) -> int:
    """The one line on stderr; returns the exit status."""
    stopped = stop if isinstance(stop, Stopped) else Stopped()
    print(stopped, file=sys.stderr, flush=True)
    return stopped.status


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    os.write(2, f"{Stopped(signum)}\n".encode())
    os._exit(Stopped(signum).status)


@contextmanager
def _answering(answer: _Answer) -> Iterator[None]:
    """Inside, ``answer`` is called for each of the signals; only the main thread may ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _answer(answer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answer(answer: _Answer) -> dict[signal.Signals, _Answer | int | None]:
    """Put ``answer`` in the place of what it returns. A signal that is ignored (`nohup`) stays ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, answer)
    return {number: signal.SIG_DFL if handler is None else handler for number, handler in heard.items()}
