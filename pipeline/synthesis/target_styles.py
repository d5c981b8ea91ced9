"""What restyled images are measured against: a target domain's look, or that of each camera of the source; and what
that domain is called."""

from __future__ import annotations

import numpy as np

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.reading.rows import fetch_rows, index_rows
from pipeline.checkpoints.cards import learned_look
from pipeline.common.images import ImageError, RgbImage, resize
from pipeline.common.row_images import PICTURE, decode_row
from pipeline.generators.trained_set import GeneratorSet
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


def look_asked_for(source: Dataset, target: Dataset | None, generators: GeneratorSet | None) -> str:
    """The name of the domain whose look rows get: that of ``target``; where none is named, of what ``generators`` that
    lead to another place learned as theirs; where no card knows that, of the source. The first, where there are several
    names, "unknown" where there is none."""
    learned = learned_domains(generators) if generators is not None and target is None else []
    return next(iter(learned or domains_of(source if target is None else target)), "unknown")


def learned_domains(generators: GeneratorSet) -> list[str]:
    """Names of the domains whose look the generators learned, by their cards."""
    return sorted({name for one in generators.members.values() for name in learned_look(one.path, one.sha256)})


def domains_of(dataset: Dataset) -> list[str]:
    """Names of the domains that rows are of, in order."""
    found: list[str] = dataset.scan().select("domain").unique().collect().get_column("domain").drop_nulls().to_list()
    return sorted(found)


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
