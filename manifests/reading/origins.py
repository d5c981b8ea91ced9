"""Where the pictures beside a sample come from: the source data sets and the annotations of the rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.format.schema import Kind
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.rows import fetch_rows, index_rows
from manifests.reading.runs import runs

Row = dict[str, Any]
"""A row's values by column."""


@dataclass(frozen=True)
class Origins:
    """Data sets of sources and of annotations that were found; ``missing`` says which were named and were not."""

    sources: tuple[Dataset, ...]
    annotations: tuple[Dataset, ...]
    missing: tuple[str, ...]


def find_origins(dataset: Dataset, source: str | None, annotations: str | None) -> Origins:
    """The data sets that are given, or else those that the run's record names and that are still there.

    Raises:
        UserError: one that is given is not there, or of another kind.
    """
    if source and annotations:
        return Origins((given_dataset(source, "source"),), (given_dataset(annotations, "annotation"),), ())
    missing: list[str] = []
    kinds: dict[Kind, list[Dataset]] = {"source": [], "annotation": [], "synthetic": []}
    for uri in dict.fromkeys(one.uri for run in runs(dataset) for one in run.inputs if one.uri):
        try:
            found = open_dataset(uri)
        except UserError:
            missing.append(uri)
        else:
            kinds[found.kind].append(found)
    sources = [given_dataset(source, "source")] if source else kinds["source"]
    known = [given_dataset(annotations, "annotation")] if annotations else kinds["annotation"]
    return Origins(tuple(sources), tuple(known), tuple(missing))


def find_images(datasets: Sequence[Dataset], digests: Collection[str], columns: Sequence[str]) -> dict[str, Row]:
    """``columns`` of the first row for each of ``digests`` (``image_sha256``) that one of ``datasets`` holds."""
    found: dict[str, Row] = {}
    for dataset in datasets:
        wanted = pa.array(sorted(set(digests) - set(found)), pa.string())
        if not len(wanted):
            continue
        index = index_rows(dataset, ["image_sha256"])
        places = index.filter(pc.is_in(index.column("image_sha256"), value_set=wanted))
        for row in fetch_rows(dataset, places, ["image_sha256", *columns]).to_pylist():
            found.setdefault(row["image_sha256"], row)
    return found


def given_dataset(uri: str, kind: Kind) -> Dataset:
    """The data set that an option names.

    Raises:
        UserError: it is not there, or of another kind.
    """
    dataset = open_dataset(uri)
    if dataset.kind != kind:
        option = {"source": "--source", "annotation": "--annotations"}[kind]
        raise UserError(f"{dataset.uri} holds {dataset.kind} rows: {option} takes a data set of {kind} rows")
    return dataset
