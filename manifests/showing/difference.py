"""What differs between two data sets, as `manifests.showing.diff` finds it: named fields, and their form as JSON.

A pair is always the first data set's value and the second's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from manifests.format.schema import Kind

Values = tuple[object, object]
"""Both values of something that differs."""


@dataclass(frozen=True)
class RowsAlone:
    """Rows whose ids the other data set does not have: how many, and some of the ids."""

    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class ChangedRow:
    """A row that both have: its id, and both values of each column that differs."""

    key: str
    values: Mapping[str, Values]


@dataclass(frozen=True)
class ChangedRows:
    """Rows that differ in one aspect: how many, and some of them."""

    rows: int
    examples: tuple[ChangedRow, ...]


class Named(NamedTuple):
    """A model or an input of a run."""

    role: str
    name: str
    digest: str


@dataclass(frozen=True)
class Alone:
    """Models, or inputs, that only one of the two has."""

    only_first: tuple[Named, ...]
    only_second: tuple[Named, ...]

    def __bool__(self) -> bool:
        return bool(self.only_first or self.only_second)

    def to_json(self) -> dict[str, tuple[Named, ...]]:
        return {name: part for name, part in vars(self).items() if part}


@dataclass(frozen=True)
class ClassesDiffer:
    """Classes with a name in each (None where it has no classes), and whether one class has two numbers."""

    named: tuple[int | None, int | None]
    renumbered: bool


@dataclass(frozen=True)
class Difference:
    """What differs between two data sets; what does not is empty or None."""

    kind: Kind
    uris: tuple[str, str]
    rows: tuple[int, int]
    both: int
    """Ids that both have."""
    only_first: RowsAlone
    only_second: RowsAlone
    changed: Mapping[str, ChangedRows]
    """By aspect, of the ids that both have."""
    settings: Mapping[str, Values]
    """Of the runs, by key; a list where runs of one data set differ."""
    models: Alone
    inputs: Alone
    classes: ClassesDiffer | None
    rejected: tuple[Mapping[str, int], Mapping[str, int]] | None
    """Rejected rows by reason."""
    environments: tuple[tuple[str, ...], tuple[str, ...]]
    """Fingerprints of what the runs ran on: told, and without a say in `same`."""
    libraries: Mapping[str, Values]
    """Versions that differ, by library: a picture may hang on them. Told likewise."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        alone = self.only_first.rows or self.only_second.rows
        of_runs = self.settings or self.models or self.inputs
        return not (alone or self.changed or of_runs or self.classes or self.rejected)

    def to_json(self) -> dict[str, object]:
        """What ``diff --json`` prints: counts and examples apart."""
        return {
            "kind": self.kind,
            "uris": self.uris,
            "same": self.same,
            "rows": self.rows,
            "both": self.both,
            "only_first": self.only_first.rows,
            "only_second": self.only_second.rows,
            "changed": {aspect: found.rows for aspect, found in self.changed.items()},
            "settings": self.settings,
            "models": self.models.to_json(),
            "inputs": self.inputs.to_json(),
            "classes": asdict(self.classes) if self.classes else {},
            "rejected": self.rejected or (),
            "examples": dict(self._examples()),
            "environments": self.environments,
            "libraries": self.libraries,
        }

    def _examples(self) -> Iterator[tuple[str, object]]:
        yield "only_first", self.only_first.examples
        yield "only_second", self.only_second.examples
        for aspect, found in self.changed.items():
            yield aspect, [asdict(one) for one in found.examples]
