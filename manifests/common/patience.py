"""Patience with a store or a host that is away: how long it is waited for, and what is said meanwhile."""

from __future__ import annotations

import math
import os
import random
import sys
import time

from manifests.errors import UserError

VARIABLE = "REID_SYNTH_PATIENCE"
"""Environment variable: how many seconds a store that does not answer is waited for; 300 where it is not set."""
_DEFAULT_SECONDS = 300.0
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds between two tries: they double from the first to the longest."""
SILENT_SECONDS = 2.0
"""A shorter hiccup is nobody's business."""
_SAY_EVERY = 30.0
# Its own, so that no draw of anybody's depends on an outage.
_random = random.Random()


def patience_seconds() -> float:
    """How long a store is waited for.

    Raises:
        UserError: the environment's number is none, or negative.
    """
    text = os.environ.get(VARIABLE, "").strip()
    try:
        seconds = float(text) if text else _DEFAULT_SECONDS
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UserError(f"{VARIABLE}={text}: a number of seconds, 0 or more, is expected")
    return seconds


class Patience:
    """How often one piece of work may be tried again: so long as failures in a row do not last ``seconds``.

    ``what`` names the work in what is said on stderr: one line when nothing got through for some seconds, another
    every half minute, and one when it goes on.
    """

    def __init__(self, what: str, seconds: float | None = None) -> None:
        self.seconds = patience_seconds() if seconds is None else seconds
        self._what = what
        self._wait = FIRST_WAIT
        self._failing_since: float | None = None
        self._said: float | None = None

    def renew(self) -> None:
        """Something got through: the next failure is a first one."""
        if self._failing_since is not None and self._said is not None:
            _say(f"{self._what}: goes on after {time.monotonic() - self._failing_since:.0f} s")
        self._wait, self._failing_since, self._said = FIRST_WAIT, None, None

    def lasts(self, reason: str) -> bool:
        """Wait a little before the next try after a failure; False, at once: patience is at its end."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        failing = now - self._failing_since
        if failing >= self.seconds:
            return False
        if failing >= SILENT_SECONDS and (self._said is None or now - self._said >= _SAY_EVERY):
            self._said = now
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + self.seconds - failing))
            _say(f"{self._what}: {reason}; trying again until {until}")
        # Many workers that failed together shall not come back together.
        time.sleep(min(_random.uniform(self._wait / 2, self._wait), self.seconds - failing))
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        return True


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
