"""One naming and numbering of the people of several data sets.

A person is a name within a ``dataset_id``: people of one name in two data sets stay two, the same person in two inputs
is one. A union with people of one data set calls them as it does; one with people of several calls everybody
``DATASET:NAME``, so that a union of sources and one of what was made of them agree. The first input's class numbers
stay as they are, so that what was trained on it still fits; who is in later inputs alone follows in their order.
Retired classes have nobody to tell apart and are shared: an input's first with any other's first, and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.names import bare_name, qualified_name
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.people import SHOWN_DATASET, class_origins
from manifests.writing.relabel import relabel

_Person = tuple[str, str]
"""``(dataset_id, name)``; the ``dataset_id`` is empty where an input does not say it."""


@dataclass(frozen=True)
class Renaming:
    """What changes in the rows of one input."""

    names: Mapping[_Person, str]
    """What its people are called in the union, by data set and name as the input has them."""
    numbers: NDArray[np.int32]
    """The new number of each of its classes."""
    num_classes: int
    """Of the union; 0 where rows carry no labels."""

    def apply(self, rows: pa.Table) -> pa.Table:
        """Rows of the input under the union's names and numbers; synthetic ones sorted again where names changed."""
        if any(old != new for (_, old), new in self.names.items()):
            rows = _renamed(rows, self.names)
        return relabel(rows, self.numbers, self.num_classes) if self.num_classes else rows


@overload
def unite(inputs: Sequence[Dataset], maps: Sequence[ClassMap]) -> tuple[ClassMap, list[Renaming]]: ...


@overload
def unite(inputs: Sequence[Dataset]) -> tuple[ClassMap | None, list[Renaming]]: ...


def unite(
    inputs: Sequence[Dataset], maps: Sequence[ClassMap | None] | None = None
) -> tuple[ClassMap | None, list[Renaming]]:
    """The class map of the union, None where the rows carry no labels, and what changes in each input.

    ``maps`` number the classes of each input; by default their own. Source rows have none: who labels them says it.

    Raises:
        UserError: an input labels several people as one, or does not say whose name it is that another has too, or
            has no class map where another has.
    """
    names = _united_names(inputs, [_people(dataset) for dataset in inputs])
    maps = [dataset.classes for dataset in inputs] if maps is None else maps
    if all(one is None for one in maps):
        return None, [Renaming(mine, np.empty(0, np.int32), 0) for mine in names]
    places: list[str | None] = []
    numbers = []
    for dataset, classes, mine in zip(inputs, maps, names, strict=True):
        if classes is None:
            raise UserError(f"{dataset.uri} has no class map as the others have: it cannot be merged with them")
        called = {old: new for (_, old), new in mine.items()}
        numbers.append(_numbers([name and called[name] for name in classes.identities], places))
    return ClassMap(tuple(places)), [Renaming(*one, len(places)) for one in zip(names, numbers, strict=True)]


def _people(dataset: Dataset) -> dict[_Person, _Person]:
    """The people of one input by data set and name as the rows have them; the value's name is the bare one."""
    if dataset.kind == "source":
        rows = dataset.scan().select("dataset_id", "identity").drop_nulls().unique(maintain_order=True).collect()
        return {(home, name): (home, bare_name(home, name)) for home, name in rows.iter_rows()}
    people = {}
    for name, origins in class_origins(dataset).items():
        if len(origins) > 1:
            raise UserError(f"{dataset.uri} labels people of {' and '.join(sorted(origins))} as one class, {name!r}")
        home = next(iter(origins), "")
        people[home, name] = home, bare_name(home, name)
    return people


def _united_names(inputs: Sequence[Dataset], people: Sequence[Mapping[_Person, _Person]]) -> list[dict[_Person, str]]:
    """For each input what its people are called."""
    known = {person for mine in people for person in mine.values() if person[0]}
    nowhere = [person for mine in people for person in mine.values() if not person[0]]
    owners = Counter(name for _, name in [*known, *nowhere])
    for dataset, mine in zip(inputs, people, strict=True):
        for home, name in mine.values():
            if owners[name] > 1 and not home:
                raise UserError(
                    f"nothing in {dataset.uri} says of which data set its class {name!r} is, and another input has one "
                    "of that name: give the ids of its sources as `inputs` of its run"
                )
    several = len({home for home, _ in known}) > 1
    return [
        {key: qualified_name(*person) if several and person[0] else person[1] for key, person in mine.items()}
        for mine in people
    ]


def _numbers(names: Sequence[str | None], places: list[str | None]) -> NDArray[np.int32]:
    """Where each of ``names`` stands in ``places``; who is not there yet is added at its end."""
    found = {name: number for number, name in enumerate(places) if name is not None}
    retired = iter([number for number, name in enumerate(places) if name is None])
    numbers = []
    for name in names:
        number = found.get(name) if name is not None else next(retired, None)
        if number is None:
            number = len(places)
            places.append(name)
        numbers.append(number)
    return np.array(numbers, np.int32)


def _renamed(rows: pa.Table, names: Mapping[_Person, str]) -> pa.Table:
    synthetic = "sample_id" in rows.schema.names
    columns = frame_of(rows.select(["identity", "sources" if synthetic else "dataset_id"]))
    pairs = columns.select(SHOWN_DATASET if synthetic else "dataset_id", "identity").iter_rows()
    called = pa.array([names.get((home, name), name) for home, name in pairs], pa.string())
    place = rows.schema.get_field_index("identity")
    rows = rows.set_column(place, rows.schema.field(place), called)
    if not synthetic:
        return rows
    keys = frame_of(rows.select(["identity", "sample_id"]))
    return rows.take(keys.select(pl.arg_sort_by("identity", "sample_id", nulls_last=False)).to_series().to_arrow())
