"""Where a part of the chaos works: a folder, a seed, and the time by which it must be done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.chaos.tally import Tally

TRIES = 4


@dataclass
class Bench:
    """A part's place, random numbers and share of the time."""

    folder: Path
    random: np.random.Generator
    until: float
    """When its share is used up, by the monotonic clock."""
    scale: float = 1.0
    """What is asked for, as a share of the full count."""
    only: str = ""
    """Only faults that have this in their name are caused."""

    def tally(self, fault: str, times: int) -> Tally:
        """An empty row of the table for a fault that is to be caused ``times`` times at full scale."""
        return Tally(fault, max(1, round(times * self.scale)))

    def trials(self, tally: Tally) -> Iterator[Path]:
        """A fresh folder for each try until the fault was caused as often as asked, or the time is up.

        A try in which the fault came too late is not counted and is made again. Once it is caused (in `TRIES` tries)
        however little time the faults before it have left: no row of the table says nothing.
        """
        number = 0
        if self.only not in tally.fault:
            return
        while tally.times < tally.asked:
            if time.monotonic() >= self.until and (tally.times or number >= TRIES):
                return
            place = self.folder / tally.fault.replace(" ", "-").replace("/", "-") / str(number)
            place.mkdir(parents=True)
            yield place
            shutil.rmtree(place, ignore_errors=True)
            number += 1

    def moment(self, seconds: float) -> float:
        """A random moment of something that takes so long."""
        return float(self.random.uniform(0, seconds))


class Part(NamedTuple):
    """One subject: its share of the whole time, and what breaks things and yields a row of the table for each fault."""

    share: float
    run: Callable[[Bench], Iterator[Tally]]
