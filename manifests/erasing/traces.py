"""Finding what comes from a person or an image, in any kind of data set.

A person is a name within a ``dataset_id``; rows know them by `manifests.format.names.subject_key`. An image is known by
its SHA-256. What was made of a person's images, or shows the same bytes under another name, comes from them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.names import bare_name, person_number, qualified_name, spellings, subject_key
from manifests.format.schema import ROW_ID, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.people import SHOWN_DATASET, class_origins, dataset_ids

_IMAGE = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id", "image_sha256", "identity", "dataset_id", "relative_path"),
    "annotation": ("image_id", "image_sha256"),
    "synthetic": ("sample_id", "image_sha256", "identity", "subject_keys", "sources"),
}


@dataclass(frozen=True)
class Request:
    """Whom and what to find: people by name, images by id or SHA-256 (a synthetic image by its own).

    ``dataset_id`` says in which data set the names are names; needed where several have people of one name. A person
    called by a number is meant however it is written: ``1`` is ``0001``.
    """

    identities: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    dataset_id: str | None = None

    @classmethod
    def of(
        cls, identities: Sequence[str], images: Sequence[str], listed: str | None = None, dataset_id: str | None = None
    ) -> Request:
        """From a command's arguments; ``listed`` is a file of one identity or image a line.

        In the file, 32 or 64 hexadecimal digits are an image and anything else is an identity; ``identity:`` or
        ``image:`` before it says it outright. Empty lines and lines that begin with ``#`` mean nothing.

        Raises:
            UserError: nothing is named, an image is no id or digest, or the file cannot be read.
        """
        people, pictures = set(identities), set(images)
        for line in _lines(listed) if listed is not None else ():
            word, _, name = line.partition(":")
            if word in ("identity", "image"):
                (people if word == "identity" else pictures).add(name.strip())
            else:
                (pictures if _IMAGE.fullmatch(line) else people).add(line)
        for image in pictures:
            if not _IMAGE.fullmatch(image):
                raise UserError(f"{image!r} names no image: give its image_id (32 hexadecimal digits) or SHA-256 (64)")
        if not people | pictures or "" in people:
            raise UserError("nobody is named: give --identity ID, --image ID or --list FILE with at least one of them")
        return cls(frozenset(people), frozenset(pictures), dataset_id)


def _lines(path: str) -> Iterator[str]:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot read the list {path}: {reason}") from None
    yield from (line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


@dataclass(frozen=True)
class Traces:
    """By what rows are known to come from what was asked for."""

    people: frozenset[tuple[str, str]]
    """Each as ``(dataset_id, name)``."""
    images: frozenset[str]
    """Ids and digests as they were asked for."""
    found: frozenset[str]
    """Those of them, and of the asked names, that are on some row or in some class map."""
    written: frozenset[str]
    """The people's names as they are written there, where that is otherwise than they were asked for."""
    digests: frozenset[str]
    """SHA-256 of every source image that goes."""
    image_ids: frozenset[str]
    paths: frozenset[str]
    subjects: frozenset[str]
    """Keys of everyone on an image that goes: of whom models may know something."""

    @property
    def keys(self) -> frozenset[str]:
        """The people's own keys."""
        return frozenset(subject_key(*person) for person in self.people)

    def names(self, ids: set[str]) -> frozenset[str]:
        """What the people may be called in a data set that holds people of ``ids``."""
        mine = [(one, name) for one, name in self.people if one in ids]
        return frozenset(call(*person) for person in mine for call in (bare_name, qualified_name))


def find_traces(datasets: Sequence[Dataset], request: Request) -> Traces:
    """What identifies the rows that come from ``request``, gathered over all ``datasets``; reads no image.

    Raises:
        UserError: a name is that of several people, or ``dataset_id`` is unknown.
    """
    known = {one for dataset in datasets for one in dataset_ids(dataset)}
    if request.dataset_id is not None and request.dataset_id not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise UserError(f"no rows of a data set called {request.dataset_id!r} are here; known: {listed}")
    people = _people_asked_for(datasets, request, {request.dataset_id} if request.dataset_id is not None else known)
    keys = [subject_key(*person) for person in people]
    digests = {image for image in request.images if len(image) == 64}
    asked = list(request.images)
    image_ids, paths, subjects, seen = set[str](), set[str](), set(keys), set[str]()
    for kind, rows in _traced(datasets):
        images = rows.filter(pl.col("id").is_in(asked) | pl.col("own_digest").is_in(asked) | _any("digests", asked))
        seen |= {value for column in ("id", "own_digest", "digests") for value in images.get_column(column).explode()}
        if kind == "synthetic":
            digests |= _digests_of(rows.filter(_any("keys", keys)), set(keys))
        else:
            hit = rows.filter(_any("keys", keys) | pl.col("id").is_in(asked))
            digests |= set(hit.get_column("own_digest"))
    for _, rows in _traced([dataset for dataset in datasets if dataset.kind == "source"]):
        gone = rows.filter(_any("digests", list(digests)))
        image_ids |= set(gone.get_column("id"))
        paths |= set(gone.get_column("path"))
        subjects |= set(gone.get_column("keys").explode().drop_nulls())
    names = {name for name in request.identities if any(people & _asked(one, name) for one in known)}
    return Traces(
        people=frozenset(people),
        images=request.images,
        found=frozenset(names | (request.images & seen)),
        written=frozenset(bare for one, bare in people if not {bare, qualified_name(one, bare)} & request.identities),
        digests=frozenset(digests),
        image_ids=frozenset(image_ids),
        paths=frozenset(paths),
        subjects=frozenset(subjects),
    )


def _traced(datasets: Sequence[Dataset]) -> Iterator[tuple[Kind, pl.DataFrame]]:
    """The `trace_columns` of every shard."""
    for dataset in datasets:
        for table in dataset.shards(_COLUMNS[dataset.kind]):
            yield dataset.kind, trace_columns(dataset.kind, table)


def find_rows(dataset: Dataset, traces: Traces) -> tuple[NDArray[np.bool_], ...]:
    """For each file of the snapshot which of its rows come from what ``traces`` stand for."""
    comes = (
        _any("keys", list(traces.keys))
        | _any("digests", list(traces.digests))
        | pl.col("id").is_in(list(traces.images))
        | pl.col("own_digest").is_in(list(traces.images))
    )
    return tuple(
        trace_columns(dataset.kind, table).select(comes.alias("gone")).get_column("gone").to_numpy().astype(bool)
        for table in dataset.shards(_COLUMNS[dataset.kind])
    )


def find_rejects(dataset: Dataset, traces: Traces) -> tuple[NDArray[np.bool_], ...]:
    """The same for the files of rejected rows: by digest, id or path of a source image, or a path that has the name.

    A picture that could not be read became no row; that a path is the person's can be told by its parts alone, so
    another file that has the name as a part of its path (as a frame number, say) goes too. A number that begins a
    file's name is the person's with any zeros before it.
    """
    names = traces.names(dataset_ids(dataset)) if dataset.kind == "source" else frozenset()
    numbers = {number for name in names if (number := person_number(name)) is not None}
    forms = [rf"(?<![0-9A-Za-z]){re.escape(name)}" for name in sorted(names)]
    whole = [f"(?:{form})(?![0-9A-Za-z])" for form in forms + [f"(?:^|/)0*{number}" for number in sorted(numbers)]]
    named = re.compile("|".join(whole) or "(?!)")  # which matches nothing
    ids, found = traces.image_ids | traces.images, []
    for entry in dataset.snapshot.rejects:
        gone = [
            row["item_id"] in ids
            or row["source_sha256"] in traces.digests
            or (row["source_sha256"] is None and dataset.kind != "source" and row["relative_path"] in traces.paths)
            or named.search(f"{row['relative_path'] or ''}\n{row['message'] or ''}") is not None
            for row in dataset.read_file(entry).to_pylist()
        ]
        found.append(np.array(gone, dtype=bool))
    return tuple(found)


def trace_columns(kind: Kind, table: pa.Table) -> pl.DataFrame:
    """Of each row: ``id``, ``own_digest``, ``path``, and the ``digests`` of images and ``keys`` of people behind it."""
    rows = frame_of(table)
    digests, keys, path = pl.concat_list("image_sha256"), pl.lit([], pl.List(pl.String)), pl.lit(None, pl.String)
    if kind == "source":
        keys, path = pl.concat_list(_shown_keys(rows)), pl.col("relative_path")
    if kind == "synthetic":
        rows = rows.with_columns(SHOWN_DATASET)
        digests = pl.col("sources").list.eval(pl.element().struct.field("sha256"))
        keys = pl.concat_list("subject_keys", _shown_keys(rows))
    return rows.select(
        id=ROW_ID[kind],
        own_digest="image_sha256",
        path=path,
        digests=digests,
        keys=keys.list.drop_nulls().list.unique(maintain_order=True),
    )


def _shown_keys(rows: pl.DataFrame) -> pl.Series:
    """The key of whoever each row is labelled as, null for nobody."""
    pairs = rows.select("dataset_id", "identity").iter_rows()
    keys = [subject_key(home, name) if home is not None and name is not None else None for home, name in pairs]
    return pl.Series(keys, dtype=pl.String)


def _any(column: str, wanted: list[str]) -> pl.Expr:
    return pl.col(column).list.eval(pl.element().is_in(wanted)).list.any().fill_null(False)


def _digests_of(rows: pl.DataFrame, keys: set[str]) -> set[str]:
    """The source images that show the people of ``keys``: keys and images of a row stand in the same order."""
    found = set()
    for own, digests in rows.select("keys", "digests").iter_rows():
        shown = own * len(digests) if len(own) == 1 else own
        if len(shown) == len(digests):
            found |= {digest for key, digest in zip(shown, digests, strict=True) if key in keys}
    return found


def _asked(dataset_id: str, name: str) -> set[tuple[str, str]]:
    """The person whom ``name`` may mean in a data set, in every way to write it."""
    return {(dataset_id, one) for one in spellings(bare_name(dataset_id, name))}


def _people_asked_for(datasets: Sequence[Dataset], request: Request, ids: set[str]) -> set[tuple[str, str]]:
    """The people of the asked names who are on some row, or in some class map."""
    persons = {person for one in ids for name in request.identities for person in _asked(one, name)}
    asked = {subject_key(*person): person for person in persons}
    present = set()
    for _, rows in _traced(datasets):
        keys = rows.get_column("keys").explode()
        present |= set(keys.filter(keys.is_in(list(asked))))
    for dataset in datasets:
        present |= {
            subject_key(one, name)
            for name, origins in class_origins(dataset).items()
            for one in origins
            if subject_key(one, name) in asked
        }
    people = {asked[key] for key in present}
    for name in sorted(request.identities):
        homes = sorted({one for one, bare in people if (one, bare) in _asked(one, name)})
        if len(homes) > 1:
            raise UserError(f"{name!r} is the name of people of {' and '.join(homes)}: say which with --dataset-id")
    return people
