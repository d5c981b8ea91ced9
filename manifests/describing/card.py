"""What a person or another tool opens first: every row without its picture, a card, metadata, provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.describing.attestation import STATEMENT, statement
from manifests.describing.croissant import CROISSANT, croissant
from manifests.describing.markdown import quoted
from manifests.describing.statements import INTENDED_USE, STATEMENTS, TermsOnRows, terms
from manifests.disk import parquet, tables
from manifests.disk.snapshots import FileEntry, dump
from manifests.format.schema import SCHEMAS, SPLITS, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.erasure_log import write_log
from manifests.reading.files import products
from manifests.reading.summary import RowCounter

SAMPLES_META = f"samples_meta{tables.SUFFIX}"
DATASET_CARD = "README.md"
_PICTURES = ("image", "mask")
_VALUES_SHOWN = 12
_META_ROWS, _META_FILES = 1 << 16, 256
"""A row group of `SAMPLES_META` ends with the file that brings it to so many rows, or is the last of so many."""
_SEAL = "\n<!-- written by reid-synth; SHA-256 of all above this line: "


def write_inspection_files(dataset: Dataset, card: bool = True) -> None:
    """Write what lies beside the shards; the same snapshot and run record give the same bytes.

    ``samples_meta.table`` has all columns but pictures, plus file and row; ``README.md`` (left alone without
    ``card``) is for people, ``croissant.json`` and ``provenance.intoto.json`` are for other tools; ``erasures.table``
    is there where rows were erased. Tables that an earlier version wrote go.
    """
    found = _Found(dataset.kind)
    for entry, table in _indexed(dataset):
        found.add(entry, table)
    dataset.storage.delete(tables.earlier_path(SAMPLES_META))
    if dataset.snapshot.erasures:
        write_log(dataset)
    if card:
        dataset.storage.write(DATASET_CARD, _sealed(_card(dataset, found)).encode())
    files = products(dataset, [SAMPLES_META])
    dataset.storage.write(CROISSANT, dump(croissant(dataset, files, found.terms)))
    dataset.storage.write(STATEMENT, dump(statement(dataset, files)))


def card_is_ours(dataset: Dataset) -> bool:
    """Whether the card that is there is as we wrote it, or there is none; of older versions nobody can tell."""
    present = dataset.storage.read(DATASET_CARD)
    return present is None or is_sealed(present)


def is_sealed(card: bytes) -> bool:
    """Whether a card is as this package wrote it."""
    text = card.decode(errors="replace")
    return text == _sealed(text.rpartition(_SEAL)[0])


def _sealed(text: str) -> str:
    """``text`` with its digest below it, by which a change is seen."""
    return f"{text}{_SEAL}{hashlib.sha256(text.encode()).hexdigest()} -->\n"


class _Found:
    """What is said of the rows, found while every file is read once."""

    def __init__(self, kind: Kind) -> None:
        self.rows, self.terms = RowCounter(kind), TermsOnRows(kind)
        self._splits: dict[str, list[str]] | None = None
        if "split" in SCHEMAS[kind].names:
            self._splits = {split: [] for split in SPLITS}

    @property
    def files_by_split(self) -> dict[str, list[str]] | None:
        """The files that hold the rows of each split; None where one holds rows of two, or rows have no split."""
        return None if self._splits is None else {split: files for split, files in self._splits.items() if files}

    def add(self, entry: FileEntry, table: pa.Table) -> None:
        """Look at the rows of one file, too."""
        self.rows.add(table)
        self.terms.add(table)
        if self._splits is None:
            return
        held = table.column("split").unique().to_pylist()
        if len(held) > 1 or not self._splits.keys() >= set(held):
            self._splits = None
            return
        for split in held:
            self._splits[split].append(entry.path)


def _indexed(dataset: Dataset) -> Iterator[tuple[FileEntry, pa.Table]]:
    """The files and their rows without pictures, which on the way are written to `SAMPLES_META`."""
    schema = SCHEMAS[dataset.kind]
    columns = [name for name in schema.names if name not in _PICTURES]
    place: list[pa.Field[Any]] = [pa.field("file", pa.string()), pa.field("row", pa.int32())]
    meta = pa.schema([*place, *(schema.field(name) for name in columns)])
    with (
        dataset.storage.writer(SAMPLES_META) as stream,
        parquet.open_writer(stream, meta, dataset.footer) as writer,
    ):
        waiting: list[pa.Table] = []
        for entry, table in zip(dataset.snapshot.files, dataset.shards(columns), strict=True):
            files = pa.array([entry.path] * table.num_rows, pa.string())
            rows = pa.array(np.arange(table.num_rows, dtype=np.int32))
            waiting.append(pa.Table.from_arrays([files, rows, *table.columns], schema=meta))
            # A writer remembers every row group, and a reader looks at each: many shards share one.
            full = len(waiting) == _META_FILES or sum(one.num_rows for one in waiting) >= _META_ROWS
            if full or entry is dataset.snapshot.files[-1]:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()
            yield entry, table


_FRONT_MATTER = """---
pretty_name: {title}
license: other
license_name: terms-of-its-inputs
task_categories: [image-classification]
size_categories: [{size}]
tags: [person-re-identification{tag}]
configs:
- config_name: default
  data_files:{files}
---
"""
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
"""Categories of the Hub by the number of rows that they end before."""


def _card(dataset: Dataset, about: _Found) -> str:
    """A Hugging Face data set card: what it is, how much of it, on what terms, how to open it."""
    snapshot, found, splits = dataset.snapshot, about.rows.counts(), about.files_by_split
    size = sum(entry.bytes for entry in snapshot.files)
    title = f"Person re-identification, {dataset.kind} rows"
    tag = ", synthetic" if dataset.kind == "synthetic" else ""
    lines = [
        _FRONT_MATTER.format(title=title, tag=tag, size=_size(snapshot.rows), files=_data_files(splits)),
        f"# {title}\n",
        STATEMENTS[dataset.kind] + "\n",
        f"{snapshot.rows} rows in {len(snapshot.files)} files, {size / 1e6:.1f} MB; "
        f"{snapshot.rejected} of {snapshot.planned} planned were rejected; "
        f"{len(found.identities)} identities.\n",
        *_erased(dataset),
        "| column | value | rows |\n| --- | --- | --- |",
        *(f"| {name} | {value} | {rows} |" for name, value, rows in _table(found.counts)),
        f"\n## Intended use\n\n{INTENDED_USE}\n",
        "## Licence and consent\n\nNo licence of its own: the terms of everything that it was made from hold.\n",
        *terms(dataset, on_rows=about.terms),
        f"\n## How to open it\n\n```python\n{_HOW_TO_OPEN}```\n",
        *_unsplit(dataset, splits),
        "## Provenance\n\nSettings, models, inputs and counts are in `run.json`; the rows without pictures in "
        "`samples_meta.table`; what was rejected, and why, in `rejects/` (`pl.read_parquet` opens all of them).\n",
    ]
    return "\n".join(lines)


_HOW_TO_OPEN = """import polars as pl
rows = pl.scan_parquet("data/*.parquet")  # columns that a query does not name are not read

from datasets import load_dataset  # 4.0 or newer
rows = load_dataset(".")
"""


def _data_files(splits: Mapping[str, Sequence[str]] | None) -> str:
    """What Hugging Face ``datasets`` reads: a list of files for each split; where all is one split, it is ``train``."""
    if splits is None or splits.keys() <= {"train"}:
        return " data/*.parquet"
    return "".join(f"\n  - split: {split}\n    path: [{', '.join(files)}]" for split, files in splits.items())


def _unsplit(dataset: Dataset, splits: Mapping[str, Sequence[str]] | None) -> Iterator[str]:
    if splits is None and dataset.kind != "annotation":
        yield "`datasets` shows all rows as `train`, for files hold rows of several splits: go by the column `split`.\n"


def _erased(dataset: Dataset) -> Iterator[str]:
    """What was taken out after the rows were made."""
    retired = dataset.classes.unnamed if dataset.classes is not None else ()
    if dataset.snapshot.erasures:
        yield f"{dataset.snapshot.erased} rows were erased since (`erasures.table` says when).\n"
    if retired:
        yield (
            f"Retired classes: {', '.join(map(str, retired))}. Nobody here has these numbers; they stay "
            "so that all others keep theirs, and what labels put on them stands for nobody.\n"
        )


def _table(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str, int]]:
    for name, values in counts.items():
        shown = list(values.items())[:_VALUES_SHOWN]
        yield from ((name, quoted(value), rows) for value, rows in shown)
        if len(values) > len(shown):
            yield name, f"{len(values) - len(shown)} more", sum(values.values()) - sum(rows for _, rows in shown)


def _size(rows: int) -> str:
    """The category of sizes that the Hub knows."""
    return next((name for limit, name in _SIZES.items() if rows < limit), "n>10M")
