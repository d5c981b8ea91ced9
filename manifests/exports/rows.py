"""What every export of single images shares: which rows, read a row group at a time, and their image files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from manifests.common.pictures import PictureError, check_digest
from manifests.disk.shard_reading import Shard
from manifests.errors import UserError
from manifests.exports.file_names import suffix_of
from manifests.exports.marking import mark_synthetic
from manifests.format.schema import ROW_ID
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers
from manifests.reading.selection import Selection
from manifests.signing.claims import Signer, facts_of

_BATCH = 100


def chosen_rows(data: Dataset | Selection, where: str | None = None) -> RowNumbers:
    """The numbers of the rows of ``data`` for which the SQL expression ``where`` holds, or of all.

    Raises:
        UserError: the rows carry no images, none is chosen, or ``where`` makes no sense.
    """
    among = data if isinstance(data, Selection) else Selection.all_of(data)
    dataset = among.dataset
    if dataset.kind == "annotation":
        raise UserError(f"{dataset.uri} holds annotations and no images: export the data set that they belong to")
    rows = (among.where(where) if where is not None else among).rows
    if not len(rows):
        chosen = " of those chosen" if len(among) < dataset.snapshot.rows else ""
        which = f"{chosen} where {where}" if where is not None else chosen
        raise UserError(f"{dataset.uri} holds no row{which}: nothing to export")
    return rows


def read_rows(dataset: Dataset, rows: RowNumbers, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of these ascending numbers as Python values; one row group is in memory at a time.

    Progress is shown on stderr where that is a terminal.

    Raises:
        UserError: a file is missing, or its bytes are not those that the snapshot names.
    """
    with tqdm(total=len(rows), unit=" images", desc="export", disable=None) as progress:
        for table in _row_groups(dataset, rows, columns):
            for batch in table.to_batches(max_chunksize=_BATCH):
                yield from batch.to_pylist()
                progress.update(batch.num_rows)


def _row_groups(dataset: Dataset, rows: RowNumbers, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    """The wanted rows of each row group that has any."""
    start = 0
    for entry in dataset.snapshot.files:
        first, end = np.searchsorted(rows, (start, start + entry.rows))
        if first < end:
            with dataset.open(entry) as shard:
                shard.check_bytes()
                yield from _of_file(shard, rows[first:end] - start, columns)
        start += entry.rows


def _of_file(shard: Shard, rows: RowNumbers, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    start = 0
    for group, size in enumerate(shard.group_rows):
        first, end = np.searchsorted(rows, (start, start + size))
        if first < end:
            yield shard.read_group(group, columns).take(pa.array(rows[first:end] - start))
        start += size


def image_file(dataset: Dataset, row: Mapping[str, Any], signer: Signer | None = None) -> tuple[bytes, str]:
    """A row's image as the bytes of a file, marked if the row is synthetic, and the file name's suffix.

    A ``signer`` of each image signs it, marks included.

    Raises:
        UserError: the image is not the one that its row names, is no picture, or is a synthetic one in a format that
            cannot be marked.
    """
    data = (row["image"] or {}).get("bytes") or b""
    try:
        check_digest(data, row["image_sha256"])
    except PictureError as error:
        raise UserError(
            f"{dataset.uri}: the image of row {row[ROW_ID[dataset.kind]]} cannot be used: {error}"
        ) from None
    if dataset.kind == "synthetic":
        try:
            made_by = row["recipe"], row["recipe_version"]
            data = mark_synthetic(data, row["sample_id"], *made_by, row["digital_source_type"])
        except ValueError as error:
            raise UserError(f"{dataset.uri}: the image of row {row[ROW_ID[dataset.kind]]} is broken: {error}") from None
        if signer is not None and signer.each:
            source_type = row["digital_source_type"]
            facts = facts_of(row["sample_id"], [row["recipe"]], [row["plan_id"]], source_type)
            data = signer.image(data, source_type, facts)
    return data, suffix_of(dataset, row[ROW_ID[dataset.kind]], data)
