"""What restyled images are measured against: a target domain's look, or that of each camera of the source."""

from __future__ import annotations

import numpy as np

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.reading.rows import fetch_rows, index_rows
from pipeline.common.images import ImageError, RgbImage, resize
from pipeline.common.row_images import PICTURE, decode_row
from pipeline.measures.images import StyleStatistics

STYLE_IMAGES = 1000
"""How many images, evenly spread over the target, style statistics are taken from; all cameras together."""


def measure_styles(
    source: Dataset, target: Dataset | None, size: tuple[int, int], by_camera: bool
) -> dict[int | None, StyleStatistics]:
    """Statistics at ``size`` (height, width): under None of ``target``; else of each camera of ``source`` if asked.

    Raises:
        UserError: ``target`` holds no readable image.
    """
    if target is not None:
        images = [resize(image, *size) for image in spread_images(target, STYLE_IMAGES)]
        if not images:
            raise UserError(f"the target {target.uri} holds no readable image")
        return {None: StyleStatistics.of(images)}
    if not by_camera:
        return {}
    cameras = index_rows(source, ["camera"]).column("camera").unique().drop_null().sort().to_pylist()
    found = {camera: spread_images(source, STYLE_IMAGES // len(cameras), camera) for camera in cameras}
    return {
        camera: StyleStatistics.of(resize(image, *size) for image in images)
        for camera, images in found.items()
        if images
    }


def spread_images(dataset: Dataset, count: int, camera: int | None = None) -> list[RgbImage]:
    """Up to ``count`` readable images, evenly spread over the training split (all splits if it has none)."""
    rows = index_rows(dataset, ["split", "camera"])
    if not rows.num_rows:
        return []
    wanted = np.array(rows.column("split").to_pylist()) == "train"
    if not wanted.any():
        wanted[:] = True
    if camera is not None:
        wanted &= np.array(rows.column("camera").to_pylist()) == camera
    places = np.flatnonzero(wanted)
    if not len(places):
        return []
    chosen = places[np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).astype(int))]
    images = []
    for row in fetch_rows(dataset, rows.take(chosen), PICTURE).to_pylist():
        try:
            images.append(decode_row(row))
        except ImageError:
            continue  # the worker that meets it writes the reject
    return images
