"""Scores of a batch of generated images, column by column, and what they decide: which rows are not worth writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from manifests.format.schema import QUALITY
from pipeline.common.images import ImageError
from pipeline.common.transfers import Download, upload
from pipeline.measures.images import (
    PersonScores,
    StyleStatistics,
    pose_error,
    style_features,
    style_shifts,
)
from pipeline.measures.on_device import count_pairs
from pipeline.synthesis.gates import rejected_by
from pipeline.synthesis.shard.batches import Batch

Scores = dict[str, list[float | None]]
"""By name, one for each row; None where it cannot be told."""
Styles = Mapping[int | None, StyleStatistics]


def count(batch: Batch, device: str) -> Download | None:
    """Begin to count, on the device that makes its images, what the scores of ``batch`` are told from; None where it
    has no images to be compared with."""
    if batch.making is None or "source" not in batch.columns:
        return None
    masks = np.zeros(batch.columns["source"].shape[:3], np.bool_)
    for row, view in enumerate(batch.views):
        if view.mask is not None:
            masks[row] = view.mask
    with torch.inference_mode():
        sources = torch.cat([part.source for part in batch.making.parts if part.source is not None])
        made = torch.cat([part.made for part in batch.making.parts])
        return Download(count_pairs(sources, made, upload(masks, device)))


def score(batch: Batch, styles: Styles) -> Scores:
    """Quality of generated images against the views that they were made from.

    Pixels are compared in place, so a person in another pose than the source's gets none of these scores. ``styles``
    are those of target domains, by target camera.
    """
    none: list[float | None] = [None] * len(batch.views)
    names = ("foreground_change", "foreground_fidelity", "background_change", "style_shift", "pose_error")
    scores: Scores = {name: none.copy() for name in names}
    for row, (view, image) in enumerate(zip(batch.views, batch.images, strict=True)):
        if view.image is not None and view.pose is None and view.mask is not None:
            counts = batch.counts
            person = counts.person(row) if counts else PersonScores.of(view.image, image, view.mask)
            for name, value in person._asdict().items():
                scores[name][row] = value
        if batch.found is not None and view.pose is not None:
            scores["pose_error"][row] = pose_error(view.pose.keypoints, batch.found[row], image.shape[0])
    for camera, style in styles.items():
        _score_styles(batch, camera, style, scores["style_shift"])
    return scores


def _score_styles(batch: Batch, camera: int | None, style: StyleStatistics, shifts: list[float | None]) -> None:
    """How much nearer to ``style`` the images came that were to have the style of ``camera``."""
    asked = [
        row
        for row, view in enumerate(batch.views)
        if view.plan["target_camera"] == camera and view.image is not None and view.pose is None
    ]
    if asked:
        every = len(asked) == len(batch.views)  # which need not be copied
        if batch.counts is not None:
            sources, made = batch.counts.taken(np.array(asked)).styles()
        else:
            pairs = batch.columns["source"], batch.images
            sources, made = (style_features(images if every else images[asked]) for images in pairs)
        for row, shift in zip(asked, style_shifts(sources, made, style).tolist(), strict=True):
            shifts[row] = shift


def quality(scores: Mapping[str, Sequence[float | None]], rows: int) -> pa.StructArray:
    """The column of that name; scores that come later are null."""
    later = pa.nulls(rows, pa.float32())
    known = [pa.array(scores[one.name], pa.float32()) if one.name in scores else later for one in QUALITY]
    return pa.StructArray.from_arrays(known, fields=list(QUALITY))


def condemned(conditions: Sequence[str], scores: Scores, rows: int) -> dict[int, ImageError]:
    """Which of ``rows`` rows are to be rejected by their scores, and why."""
    if not conditions:
        return {}
    reasons = (rejected_by(conditions, {name: values[row] for name, values in scores.items()}) for row in range(rows))
    return {row: ImageError("low_quality", reason) for row, reason in enumerate(reasons) if reason is not None}
