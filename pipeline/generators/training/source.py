"""From manifests to training data: the crops of a source manifest with what is known of them, in memory."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from manifests.reading.inputs import open_input
from pipeline.annotation.annotations import Annotation, Annotations, check_belonging
from pipeline.common.images import ImageError, RgbImage, resize, resize_mask
from pipeline.common.row_images import PICTURE, image_of
from pipeline.generators.recipes.base import Need
from pipeline.training.data import DomainData, enlarged, evenly
from pipeline.training.provenance import SUBJECTS, TERMS, provenance_of

_COLUMNS = [*PICTURE, "camera", "domain", "split", "role", *SUBJECTS["source"], *TERMS]


def load_domain(
    uri: str,
    annotations_uri: str | None,
    height: int,
    width: int,
    needs: Collection[Need] = (),
    limit: int | None = None,
    flag: str = "--source-annotations",
    tell: bool = False,
) -> DomainData:
    """The people of the training split at ``uri``, decoded once and kept at 1.117 x (height, width).

    Images that lack what ``needs`` names (a mask, keypoints, a camera, an identity) are left out; masks and keypoints
    are loaded only if needed. ``limit`` keeps rows spread evenly over the split. ``flag``: where annotations are named;
    ``tell``: say how many images are left out.

    Raises:
        UserError: no such data set, no training rows, annotations needed and not there, an image that does not decode.
    """
    source = open_input(uri, "source")
    annotations = _open_annotations(source, annotations_uri, flag) if {"masks", "keypoints"} & set(needs) else None
    size = enlarged(height, width)
    images: list[RgbImage] = []
    known: list[Annotation] = []
    used: list[dict[str, Any]] = []
    rows = _training_rows(source, limit)
    for row in rows:
        if not _complete(row, annotations, needs):
            continue
        image = image_of(row, uri)
        if annotations is not None:
            known.append(_scaled(_annotation(annotations, row, image), image, size))
        images.append(resize(image, *size))
        used.append(row)
    if not images:
        lacking = f" with {', '.join(sorted(needs))}" if needs else ""
        raise UserError(f"no images of people{lacking} in the training split of {uri}")
    if tell and len(used) < len(rows):
        _tell_left_out(uri, len(rows) - len(used), len(rows), needs)
    identities = [row["identity"] for row in used]
    return DomainData(
        images=np.stack(images),
        masks=np.stack([one.mask for one in known if one.mask is not None]) if "masks" in needs else None,
        keypoints=np.stack([one.keypoints for one in known if one.keypoints is not None])
        if "keypoints" in needs
        else None,
        provenance=_provenance(source, annotations, used),
        identities=ClassMap.of(identities).numbers(identities).astype(np.int64),
        cameras=np.array([-1 if row["camera"] is None else row["camera"] for row in used], np.int64),
    )


def _tell_left_out(uri: str, lacking: int, rows: int, needs: Collection[Need]) -> None:
    lack = f"{lacking} of {rows} images of {uri} lack {' or '.join(sorted(needs))}"
    print(f"warning: {lack}: they are left out", file=sys.stderr, flush=True)


def _complete(row: dict[str, Any], annotations: Annotations | None, needs: Collection[Need]) -> bool:
    """Whether the image has all that is needed of it."""
    have = {
        "masks": annotations is not None and annotations.holds(row["image_sha256"], "mask"),
        "keypoints": annotations is not None and annotations.holds(row["image_sha256"], "keypoints"),
        "identities": row["identity"] is not None,
        "cameras": row["camera"] is not None,
    }
    return all(have[need] for need in needs)


def _annotation(annotations: Annotations, row: dict[str, Any], image: RgbImage) -> Annotation:
    """What is known of the row's image, which is annotated."""
    try:
        found = annotations.get(row["image_sha256"], image.shape[:2])
    except ImageError as error:
        raise UserError(f"{annotations.dataset.uri} cannot be trained on: {error}") from None
    if found is None:
        raise UserError(f"{annotations.dataset.uri} has no annotation of image {row['image_sha256'][:12]}")
    return found


def _scaled(found: Annotation, image: RgbImage, size: tuple[int, int]) -> Annotation:
    """The annotation for the image at ``size``."""
    scale = np.array([size[1] / image.shape[1], size[0] / image.shape[0], 1.0], np.float32)
    mask = None if found.mask is None else resize_mask(found.mask, *size)
    return replace(found, mask=mask, keypoints=None if found.keypoints is None else found.keypoints * scale)


def _open_annotations(source: Dataset, uri: str | None, flag: str) -> Annotations:
    if uri is None:
        raise UserError(
            f"this recipe needs masks or keypoints: run `python jobs/annotate.py --source {source.uri} --output URI` "
            f"and give the result as {flag}"
        )
    dataset = open_input(uri, "annotation")
    check_belonging(dataset, source)
    return Annotations(dataset)


def _training_rows(source: Dataset, limit: int | None) -> list[dict[str, Any]]:
    """Rows of people in the training split; only they are decoded, and only once."""
    tables: list[pa.Table] = []
    for table in source.shards(_COLUMNS):
        split = np.asarray(table.column("split").to_pylist()) == "train"
        person = np.asarray(table.column("role").to_pylist()) == "person"
        tables.append(table.filter(pa.array(split & person)))
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
    if limit is not None and limit < len(rows):
        rows = [rows[index] for index in evenly(limit, len(rows))]
    return rows


def _provenance(source: Dataset, annotations: Annotations | None, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What went in, for the card."""
    return {
        **provenance_of(source, rows),
        "annotations_sha256": None if annotations is None else annotations.dataset.digest(),
        "dataset_ids": sorted({row["dataset_id"] for row in rows if row["dataset_id"]}),
        "domains": sorted({row["domain"] for row in rows if row["domain"]}),
    }
