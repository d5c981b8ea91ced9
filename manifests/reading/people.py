"""Whose name an identity is: names hold within one data set of people (its ``dataset_id``), not across several."""

from __future__ import annotations

import numpy as np
import polars as pl

from manifests.errors import UserError
from manifests.format.names import bare_name, qualified_name, spellings
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers, metadata
from manifests.reading.runs import runs

_CONTENT = pl.col("sources").list.eval(pl.element().filter(pl.element().struct.field("role") == "content"))
SHOWN_DATASET = (
    pl.coalesce(_CONTENT.list.first(), pl.col("sources").list.first()).struct.field("dataset_id").alias("dataset_id")
)
"""Of synthetic rows: the ``dataset_id`` in which ``identity`` is a name, that of the image whose person is shown."""


def dataset_ids(dataset: Dataset) -> set[str]:
    """The ids of the data sets that the people of ``dataset`` are named in.

    They stand on the rows; rows made from noise have none, and there the run's inputs say it. Annotations have none.
    """
    if dataset.kind == "annotation":
        return set()
    column = SHOWN_DATASET if dataset.kind == "synthetic" else pl.col("dataset_id")
    found = dataset.scan().select(column).unique().collect().get_column("dataset_id").drop_nulls()
    return set(found.to_list()) or _input_ids(dataset)


def rows_of(dataset: Dataset, identity: str) -> RowNumbers:
    """The numbers of the rows that show a person, in order; a number is found however it is written.

    Raises:
        UserError: the rows of the data set name nobody.
    """
    if dataset.kind == "annotation":
        raise UserError(f"{dataset.uri} holds annotations, which name nobody: ask the data set that they belong to")
    names = {identity, *spellings(identity)}
    for one in dataset_ids(dataset):
        for name in spellings(bare_name(one, identity)):
            names |= {name, qualified_name(one, name)}
    numbered = metadata(dataset).with_row_index("row_number")
    found = numbered.filter(pl.col("identity").is_in(sorted(names))).select("row_number").collect()
    return found["row_number"].to_numpy().astype(np.int64)


def class_origins(dataset: Dataset) -> dict[str, set[str]]:
    """For each name of the class map, the data sets that it is a name in: one, or none where that cannot be told.

    More than one means that people of one name were labelled as one before they came here.
    """
    classes = dataset.classes
    if classes is None:
        return {}
    pairs = dataset.scan().select("identity", SHOWN_DATASET).drop_nulls().unique().collect()
    known: dict[str, set[str]] = {}
    for identity, dataset_id in pairs.iter_rows():
        known.setdefault(identity, set()).add(dataset_id)
    ids = dataset_ids(dataset)
    return {name: known.get(name) or _by_name(name, ids) for name in classes.named}


def _by_name(name: str, ids: set[str]) -> set[str]:
    """Where a name that is on no row belongs: to the data set that it is qualified with, or to the only one."""
    qualified = {dataset_id for dataset_id in ids if name.startswith(f"{dataset_id}:")}
    return qualified or (ids if len(ids) == 1 else set())


def _input_ids(dataset: Dataset) -> set[str]:
    return {one.name for run in runs(dataset) for one in run.inputs if one.role == "source"}
