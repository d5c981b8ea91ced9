"""The labelled people of a source, as columns: what a plan of a hundred million rows can hold of each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.reading.rows import placed_rows

NOBODY = -1
"""In columns of numbers, where there is none: no person, no camera, no class of poses."""
_WORD = pa.dictionary(pa.int32(), pa.string())
PEOPLE_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("image_id", "image_sha256")),
        ("identity", _WORD),
        ("camera", pa.int32()),
        *((name, _WORD) for name in ("split", "dataset_id")),
        *((name, pa.int32()) for name in ("file", "row")),
        *((name, _WORD) for name in ("licence", "consent_basis")),
    ]
)
"""Columns of `Person`; what many images share stands there once."""


@dataclass(frozen=True)
class Person:
    """A labelled source image: who, by which camera, and where its row lies (``file`` and ``row``)."""

    image_id: str
    image_sha256: str
    identity: str
    camera: int | None
    split: str
    dataset_id: str
    file: int
    row: int
    licence: str | None = None
    consent_basis: str | None = None


@dataclass(frozen=True)
class People(Sequence[Person]):
    """Many of them: a sequence of `Person`, held as ``rows`` in `PEOPLE_SCHEMA`; about 150 bytes each."""

    rows: pa.Table

    @classmethod
    def of(cls, people: Sequence[Person]) -> People:
        """These people."""
        return cls(pa.Table.from_pylist([asdict(person) for person in people], schema=PEOPLE_SCHEMA))

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @overload
    def __getitem__(self, place: int) -> Person: ...
    @overload
    def __getitem__(self, place: slice) -> People: ...
    def __getitem__(self, place: int | slice) -> Person | People:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return (
                People(self.rows.slice(start, max(0, stop - start)))
                if step == 1
                else self.take(np.arange(start, stop, step))
            )
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return Person(**self.rows.slice(place % len(self), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Person]:
        for batch in self.rows.to_batches(max_chunksize=4096):
            yield from (Person(**row) for row in batch.to_pylist())

    def take(self, places: NDArray[np.int64]) -> People:
        """Those at ``places``, in that order."""
        return People(self.rows.take(pa.array(places)))

    def lines(self, places: NDArray[np.int64]) -> pa.Table:
        """A row for each of ``places``, all null for `NOBODY`."""
        return self.rows.take(pa.array(places, mask=places < 0))

    @cached_property
    def cameras(self) -> NDArray[np.int32]:
        """``(N,)``; `NOBODY` where the camera is not known."""
        return self.rows.column("camera").fill_null(NOBODY).to_numpy()

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """Their names, each once, sorted."""
        return tuple(sorted(self.rows.column("identity").unique().to_pylist()))

    @cached_property
    def ranks(self) -> NDArray[np.int32]:
        """``(N + 1,)``: the place of each one's name in `identities`, and the one after them all for `NOBODY`."""
        names = self.rows.column("identity").cast(pa.string())
        places = pc.index_in(names, value_set=pa.array(self.identities, pa.string())).to_numpy()
        return np.append(places, np.int32(len(self.identities)))


def select_people(source: Dataset, splits: Sequence[str]) -> People:
    """The labelled persons of these splits of ``source``, in their order there.

    Raises:
        UserError: there is none, or ``source`` is no source manifest.
    """
    if source.kind != "source":
        raise UserError(f"{source.uri} is a data set of kind {source.kind!r}; a source manifest is needed")
    labelled = (pc.field("role") == "person") & pc.field("identity").is_valid() & pc.field("split").isin(list(splits))
    names = PEOPLE_SCHEMA.names
    read = [*(name for name in names if name not in ("file", "row")), "role"]
    parts = [part.filter(labelled).select(names).cast(PEOPLE_SCHEMA) for part in placed_rows(source, read)]
    people = pa.concat_tables([PEOPLE_SCHEMA.empty_table(), *parts]).unify_dictionaries().combine_chunks()
    if not people.num_rows:
        raise UserError(
            f"{source.uri} has no person with an identity in split {', '.join(splits)}; "
            "name others with --splits, or see `python -m manifests show`"
        )
    return People(people)
