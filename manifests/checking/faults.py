"""Faults found in a data set, each with the file and row that it is in."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

from manifests.common.json_text import lenient_json

_SHOWN_PER_CHECK = 10
_WARNINGS = frozenset({"flat", "orientation"})
"""Checks that find what is allowed and yet hardly ever meant."""


@dataclass(frozen=True)
class Fault:
    """Something that does not hold: which check, in which file, at which row (its id), and how."""

    check: str
    file: str
    message: str
    row: str | None = None

    def __str__(self) -> str:
        where = self.file if self.row is None else f"{self.file} row {self.row}"
        return f"{self.check}: {where}: {self.message}"


@dataclass
class Report:
    """What `validate` looked at and what it found."""

    uri: str
    kind: str = ""
    files: int = 0
    rows: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    """What breaks no promise: the data set is valid, and somebody should look at it."""

    def add(self, check: str, file: str, message: str, row: str | None = None) -> None:
        """Note one fault, or warning."""
        (self.warnings if check in _WARNINGS else self.faults).append(Fault(check, file, message, row))

    def to_json(self) -> str:
        return lenient_json({**asdict(self), "ok": not self.faults}, indent=1)

    def to_text(self) -> str:
        """The faults for people: a few of each check, then how many more; warnings by their number and the first."""
        looked = f"{self.uri}: {self.rows} {self.kind} rows in {self.files} files"
        warned = Counter(warning.check for warning in self.warnings)
        first = {warning.check: warning for warning in reversed(self.warnings)}
        warnings = [f"warning: {count} times, first {first[check]}" for check, count in warned.items()]
        if not self.faults:
            return "\n".join([*warnings, f"{looked}: ok"])
        seen: Counter[str] = Counter()
        lines = []
        for fault in self.faults:
            seen[fault.check] += 1
            if seen[fault.check] <= _SHOWN_PER_CHECK:
                lines.append(str(fault))
        lines += [
            f"{check}: and {count - _SHOWN_PER_CHECK} more" for check, count in seen.items() if count > _SHOWN_PER_CHECK
        ]
        return "\n".join([*lines, *warnings, f"{looked}: {len(self.faults)} faults"])
