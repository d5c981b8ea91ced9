"""One data set out of several of a kind: people named and numbered as one, each row once, each shard's origin known.

A shard of the union is a shard of an input, so that merging holds one shard in memory, goes on where it was stopped,
and gives the same bytes again. A row whose id an earlier input has is rejected as ``duplicate``; rows that an input
rejected stay rejected. Nothing else of a row changes: ``plan_id`` still names the plan that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.disk.snapshots import BrokenDatasetError, FileEntry
from manifests.errors import UserError
from manifests.format.names import content_id
from manifests.format.schema import (
    OF_THE_SET,
    QUALITY,
    REJECT_SCHEMA,
    ROW_ID,
    ROW_KEY,
    SOURCE_TYPE_KEY,
    SOURCE_TYPES,
    source_type_of_all,
    source_type_uri,
)
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.earlier_runs import inherited_runs, row_plans
from manifests.storage.whole_files import open_storage
from manifests.writing.attempt import attempt
from manifests.writing.numbering import Renaming, unite
from manifests.writing.run import DatasetRun

DUPLICATE = "duplicate"
"""Reason of a rejected row that an earlier input has too."""


@dataclass(frozen=True)
class _Part:
    """One shard of one input, and which of its rows no part before it has."""

    dataset: Dataset
    entry: FileEntry
    rejects: FileEntry | None
    renaming: Renaming
    first: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Rows to account for, rejected ones included."""
        return len(self.first) + (self.rejects.rows if self.rejects else 0)


def merge(uris: Sequence[str], output: str) -> Dataset:
    """Write the union of the data sets at ``uris`` to ``output``; the same call goes on with what was stopped.

    Raises:
        UserError: fewer than two data sets, of several kinds, one twice or the output itself, people who cannot be
            told apart (`manifests.writing.numbering.unite`), or ``output`` holds something else.

    Example:
        >>> from manifests import merge
        >>> merged = merge(["runs/synthetic", "runs/more"], "runs/merged")
        >>> merged.snapshot.rows, merged.classes.named
        (12, {'0002': 0, '0007': 1})
    """
    inputs = _opened(uris, output)
    classes, renamings = unite(inputs)
    parts = list(_parts(inputs, renamings))
    numbering = {ClassMap.FOOTER_KEY: classes.to_json()} if classes is not None else {}
    agreed = dict(set.intersection(*(set(one.footer.items()) for one in inputs))) | _source_type(inputs)
    run = DatasetRun.start(
        output,
        inputs[0].kind,
        content_id("merge", inputs[0].kind, *(dataset.digest() for dataset in inputs), *numbering.values()),
        {number: part.rows for number, part in enumerate(parts)},
        footer={**agreed, **numbering},
        run={"job": "merge", "merged": inherited_runs(inputs)},
    )
    with attempt(run, len(parts)):
        for number in run.pending():
            part = parts[number]
            rows = part.dataset.read_file(part.entry)
            kept = _among_others(_renamed(part, rows.filter(pa.array(part.first))))
            run.sink.commit(number, kept, _rejects(part, rows), row_plans=row_plans(part.dataset, part.entry))
        run.close()
    return open_dataset(output)


def _source_type(inputs: Sequence[Dataset]) -> dict[str, str]:
    """What the footers say together of how images came to be, where all say something that is known."""
    terms = [one.footer.get(SOURCE_TYPE_KEY, "").rpartition("/")[2] for one in inputs]
    known = all(term in SOURCE_TYPES for term in terms)
    return {SOURCE_TYPE_KEY: source_type_uri(source_type_of_all(terms))} if known else {}


def _opened(uris: Sequence[str], output: str) -> list[Dataset]:
    inputs = [open_dataset(uri) for uri in uris]
    places = [dataset.uri for dataset in inputs]
    if len(inputs) < 2:
        raise UserError("a merge takes two data sets or more")
    if len(set(places)) < len(places):
        twice = next(uri for uri in places if places.count(uri) > 1)
        raise UserError(f"{twice} is named twice")
    if open_storage(output).uri in places:
        raise UserError(f"{output} is one of the data sets to merge: choose another folder for the output")
    for dataset in inputs[1:]:
        if dataset.kind != inputs[0].kind:
            raise UserError(
                f"{inputs[0].uri} holds {inputs[0].kind} rows and {dataset.uri} {dataset.kind} rows: merge one kind"
            )
    return inputs


def _parts(inputs: Sequence[Dataset], renamings: Sequence[Renaming]) -> Iterator[_Part]:
    seen: set[tuple[object, ...]] = set()
    for dataset, renaming in zip(inputs, renamings, strict=True):
        rejects = {entry.shard: entry for entry in dataset.snapshot.rejects}
        keys = dataset.shards(ROW_KEY[dataset.kind])
        for entry, table in zip(dataset.snapshot.files, keys, strict=True):
            first = []
            for key in zip(*(column.to_pylist() for column in table.columns), strict=True):
                first.append(key not in seen)
                seen.add(key)
            yield _Part(dataset, entry, rejects.get(entry.shard), renaming, np.array(first, dtype=bool))


def _renamed(part: _Part, rows: pa.Table) -> pa.Table:
    try:
        return part.renaming.apply(rows)
    except ValueError as error:
        where = part.dataset.storage.locate(part.entry.path)
        raise BrokenDatasetError(f"{where} has labels that are none: {error}", part.entry.path) from None


def _among_others(rows: pa.Table) -> pa.Table:
    """``rows`` without what was said of them beside the rows that they were among before."""
    place = rows.schema.get_field_index("quality")
    if place < 0 or not rows.num_rows:
        return rows
    scores = rows.column(place).combine_chunks()
    nothing = pa.nulls(rows.num_rows, pa.float32())
    kept = [nothing if field.name in OF_THE_SET else scores.field(field.name) for field in QUALITY]
    told = pa.StructArray.from_arrays(kept, fields=list(QUALITY), mask=scores.is_null())
    return rows.set_column(place, rows.schema.field(place), told)


def _rejects(part: _Part, rows: pa.Table) -> pa.Table:
    """What the input rejected in this shard, and the rows that are there already."""
    again = rows.filter(pa.array(~part.first)).column(ROW_ID[part.dataset.kind]).to_pylist()
    message = f"row of {part.dataset.uri} that an input before it has too"
    twins = [{"item_id": name, "stage": "merge", "reason": DUPLICATE, "message": message} for name in again]
    tables = [pa.Table.from_pylist(twins, schema=REJECT_SCHEMA)]
    if part.rejects is not None:
        tables.insert(0, part.dataset.read_file(part.rejects).cast(REJECT_SCHEMA))
    return pa.concat_tables(tables)
