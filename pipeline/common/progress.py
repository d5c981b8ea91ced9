"""Progress of long work as plain lines, at most one every few seconds: readable on screen and in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import TextIO


class Progress:
    """Counts work done and prints ``stage: 120/351 images (34%), 58.3/s, 4s left`` now and then.

    The rate is that of the work done since the start. `close` prints the final count with the time it took,
    unless nothing was counted. May be advanced from several threads.
    """

    def __init__(
        self,
        stage: str,
        total: int,
        unit: str = "images",
        every_seconds: float = 3.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self._stage, self._total, self._unit, self._every = stage, total, unit, every_seconds
        self._stream, self._clock, self._lock = stream, clock, Lock()
        self._start = self._printed = clock()

    def advance(self, count: int = 1) -> None:
        """Add ``count`` to the work done; prints a line if the last one is old enough."""
        with self._lock:
            self.done += count
            now = self._clock()
            if now - self._printed >= self._every:
                self._printed = now
                rate = self.done / (now - self._start)
                left = f", {_duration((self._total - self.done) / rate)} left" if rate > 0 else ""
                self._print(f"{rate:.1f}/s{left}")

    def close(self) -> None:
        """Print the last line: what was done, and in what time."""
        elapsed = self._clock() - self._start
        if self.done:
            rate = f"{self.done / elapsed:.1f}/s, " if elapsed > 0 else ""
            self._print(f"{rate}took {_duration(elapsed)}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _print(self, ending: str) -> None:
        share = f" ({self.done / self._total:.0%})" if self._total else ""
        line = f"{self._stage}: {self.done}/{self._total} {self._unit}{share}, {ending}"
        # Looked up late, so that a stream which a test or Ray puts in place of stdout is the one written to.
        print(line, file=self._stream or sys.stdout, flush=True)


def _duration(seconds: float) -> str:
    """Seconds as ``45s``, ``3m20s`` or ``2h05m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
