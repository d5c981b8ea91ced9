"""What came of a fault: how often it was caused, how often all was well afterwards, and what was not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.commands import Ended
from tests.chaos.datasets import Found
from tests.chaos.page import grid

HEAD = ("fault", "times", "ended right", "lost rows", "doubled rows", "one-line messages")


@dataclass
class Tally:
    """One row of the table."""

    fault: str
    asked: int
    """How often the fault is to be caused, if the time allows."""
    times: int = 0
    right: int = 0
    lost: int = 0
    doubled: int = 0
    spoke: int = 0
    """Processes that ended by themselves with something to say."""
    in_a_line: int = 0
    """Those that said it in one line."""
    left_out: str = ""
    """Why the fault could not be caused here."""
    problems: list[str] = field(default_factory=list)

    def add(
        self, found: Found, ended: Iterable[Ended] = (), problems: Sequence[str] = (), again: Ended | None = None
    ) -> None:
        """Count one fault: what is there afterwards, how processes ended, and ``again``, which had to end well."""
        every = [*ended, *([again] if again else [])]
        spoken = [one for one in every if one.status != 0 and not one.killed]
        trouble = [*problems, *found.faults, *(one.trouble for one in every if one.trouble)]
        if again is not None and again.status != 0:
            trouble.append(f"given again it ended with {again.status}: {again.err.strip()}")
        self.times += 1
        self.lost += found.lost
        self.doubled += found.doubled
        self.spoke += len(spoken)
        self.in_a_line += sum(not one.trouble for one in spoken)
        self.right += not (trouble or found.lost or found.doubled)
        self.problems += [f"{self.fault}, time {self.times}: {' '.join(one.split())[-400:]}" for one in trouble[:3]]

    @property
    def well(self) -> bool:
        """Whether every fault ended right; one that was caused less often than asked is no failure."""
        return self.right == self.times and not self.lost and not self.doubled

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        times = self.left_out or (str(self.times) if self.times >= self.asked else f"{self.times} of {self.asked}")
        said = f"{self.in_a_line} of {self.spoke}" if self.spoke else "none was due"
        return self.fault, times, str(self.right), str(self.lost), str(self.doubled), said


def table(tallies: Sequence[Tally]) -> str:
    """The tallies as Markdown."""
    return grid([HEAD, *(tally.cells() for tally in tallies)])
