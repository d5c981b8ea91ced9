"""Where the dots of a gap's gains stand on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.experiments.benchmark.power import Effect

_ROOM = 0.2
"""Between the outermost mark and the plot's edge, in steps of its scale."""


class Plot(NamedTuple):
    """Places are percent of the width: 0 at the left, 100 at the right."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Of a gain."""
        return 100 * (value - self.low) / (self.high - self.low)

    def odd(self, tick: float) -> bool:
        """Whether a tick is an odd number of steps from zero."""
        return round(tick / (self.ticks[1] - self.ticks[0])) % 2 == 1


def make_plot(effects: Sequence[Effect], published: Iterable[float]) -> Plot | None:
    """The range of all seeds, intervals and ``published`` gains and of zero, in steps of 5 points (10 where that would
    be more than 8); None where there is nothing to show."""
    if not effects:
        return None
    values = [value for effect in effects for value in (*effect.worlds, *effect.interval)]
    least, most = min(0.0, *values, *published), max(0.0, *values, *published)
    step = 0.05 if most - least < 0.4 else 0.1
    first, last = math.floor(least / step - _ROOM), math.ceil(most / step + _ROOM)
    return Plot(first * step, last * step, tuple(round(index * step, 4) for index in range(first, last + 1)))
