"""From manifests to training data: the crops of a source manifest and the masks of its annotations, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.dataset import Dataset
from manifests.errors import UserError
from manifests.store import open_dataset
from pipeline.annotations import Annotations
from pipeline.digests import content_id, subject_key
from pipeline.images import BoolMask, ImageError, RgbImage, decode, resize, resize_mask
from pipeline.training_data import LOAD_SCALE, DomainData

_COLUMNS = ["image", "image_sha256", "identity", "dataset_id", "domain", "licence", "split", "role"]


def load_domain(
    uri: str, annotations_uri: str | None, height: int, width: int, with_masks: bool, limit: int | None = None
) -> DomainData:
    """The people of the training split at ``uri``, decoded once and kept at 1.117 x (height, width).

    With ``with_masks``, images without a mask are left out; ``limit`` keeps rows spread evenly over the split.

    Raises:
        UserError: no such data set, no training rows, masks asked for and not there, an image that does not decode.
    """
    source = _open(uri, "source")
    annotations = None
    if with_masks:
        annotations = _open_annotations(uri, annotations_uri)
    size = round(height * LOAD_SCALE), round(width * LOAD_SCALE)
    images: list[RgbImage] = []
    masks: list[BoolMask] = []
    used: list[dict[str, Any]] = []
    for row in _training_rows(source, limit):
        mask = None
        if annotations is not None:
            found = annotations.get(row["image_sha256"])
            mask = found.mask if found else None
            if mask is None:
                continue
            masks.append(resize_mask(mask, *size))
        images.append(resize(_decoded(row, uri), *size))
        used.append(row)
    if not images:
        needed = " that have masks" if with_masks else ""
        raise UserError(f"no images of people in the training split of {uri}{needed}")
    provenance = _provenance(source, annotations, used)
    return DomainData(np.stack(images), np.stack(masks) if masks else None, None, provenance)


def _open(uri: str, kind: str) -> Dataset:
    dataset = open_dataset(uri)
    if dataset.kind != kind:
        raise UserError(f"{uri} holds {dataset.kind} rows; {kind} rows are needed here")
    return dataset


def _open_annotations(source_uri: str, uri: str | None) -> Annotations:
    if uri is None:
        raise UserError(
            f"this recipe needs masks: run `python jobs/annotate.py --source {source_uri} --output URI` and give "
            "the result as --source-annotations (or --target-annotations)"
        )
    return Annotations(_open(uri, "annotation"))


def _training_rows(source: Dataset, limit: int | None) -> list[dict[str, Any]]:
    """Rows of people in the training split; only they are decoded, and only once."""
    tables: list[pa.Table] = []
    for table in source.shards(_COLUMNS):
        split = np.asarray(table.column("split").to_pylist()) == "train"
        person = np.asarray(table.column("role").to_pylist()) == "person"
        tables.append(table.filter(pa.array(split & person)))
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
    if limit is not None and limit < len(rows):
        kept: NDArray[np.int64] = np.linspace(0, len(rows) - 1, limit).astype(np.int64)
        rows = [rows[index] for index in kept]
    return rows


def _decoded(row: dict[str, Any], uri: str) -> RgbImage:
    try:
        return decode(row["image"]["bytes"])
    except ImageError as error:
        raise UserError(f"image {row['image_sha256'][:12]} of {uri} does not decode: {error}") from None


def _provenance(source: Dataset, annotations: Annotations | None, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What went in, for the card: digests, licences, and each person by pseudonymous key."""
    people = {(row["dataset_id"], row["identity"]) for row in rows if row["identity"] is not None}
    subjects = sorted(subject_key(dataset_id, identity) for dataset_id, identity in people)
    return {
        "images": len(rows),
        "manifest_sha256": source.digest(),
        "annotations_sha256": None if annotations is None else annotations.dataset.digest(),
        "dataset_ids": sorted({row["dataset_id"] for row in rows if row["dataset_id"]}),
        "domains": sorted({row["domain"] for row in rows if row["domain"]}),
        "licences": sorted({row["licence"] for row in rows if row["licence"]}),
        "subjects": subjects,
        "subjects_digest": content_id(*subjects),
    }
