"""Trying generated cases on a reader, one after the other; each failure is kept once, with the smallest case found."""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from tests.fuzz.target import REFUSALS, Reader

CASE_SECONDS = 10.0
"""A case that takes longer hangs."""
_ROUND = 300
"""Cases of one seed."""
_QUIET: dict[str, Any] = {
    "verbosity": Verbosity.quiet,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}


class HangError(Exception):
    """A case took too long."""


class FailureError(Exception):
    """A case that a reader neither took nor refused."""


@dataclass
class Findings:
    """What came of a target: cases tried, and each failure once, by where it arose."""

    cases: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def hunt(
    reader: Reader,
    seed: int,
    until: float,
    cases: int | None = None,
    begin: Callable[[Any], None] = lambda case: None,
) -> Findings:
    """Try cases until the time is up (by the monotonic clock), or so many; ``begin`` is told of each before."""
    found = Findings()
    turn = 0
    while time.monotonic() < until and (cases is None or found.cases < cases):
        _Turn(reader, found, until, begin).run(hash((seed, turn)), min(_ROUND, cases or _ROUND))
        turn += 1
    return found


class _Turn:
    """The cases of one seed; it ends at the first new failure, when Hypothesis has made its case small."""

    def __init__(self, reader: Reader, found: Findings, until: float, begin: Callable[[Any], None]) -> None:
        self._reader, self._found, self._until, self._begin = reader, found, until, begin
        self._new: str | None = None

    def run(self, seed: int, cases: int) -> None:
        phases = (Phase.generate, Phase.shrink)
        limits = hypothesis.settings(max_examples=cases, report_multiple_bugs=False, phases=phases, **_QUIET)
        # A plain function: Hypothesis looks at its arguments.
        test = hypothesis.given(self._reader.cases)(lambda case: self._try(case))
        with contextlib.suppress(FailureError, hypothesis.errors.HypothesisException):
            hypothesis.seed(seed)(limits(test))()

    def _try(self, case: Any) -> None:
        if time.monotonic() > self._until:
            return
        self._found.cases += 1
        self._begin(case)
        try:
            with _time_limit():
                self._reader.read(case)
        except KeyboardInterrupt:
            raise
        except REFUSALS:
            return
        except BaseException as error:  # a panic of polars is no Exception
            self._failed(error, case)

    def _failed(self, error: BaseException, case: Any) -> None:
        place = _place(error)
        known = self._found.failures
        if place in known and place != self._new:
            return
        known[place] = f"{place}: {str(error)[:300]}; case {repr(case)[:800]}"
        if isinstance(error, HangError | MemoryError):
            return  # to make the case smaller would take as long again, many times
        self._new = place
        raise FailureError from error


def _place(error: BaseException) -> str:
    """The innermost line of our own code: one fault has many cases."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if "/site-packages/" not in frame.filename and "/lib/python" not in frame.filename
    ]
    frame = (ours or frames)[-1]
    return f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError(f"more than {CASE_SECONDS:.0f} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again, for whoever swallows the first.
    signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS, CASE_SECONDS / 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
