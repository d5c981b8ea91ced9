"""Annotating without Ray: what the models cannot say of an image is a reject, never a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from manifests.checking.validate import validate
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from pipeline.annotation.annotations import AnnotationSettings, AnnotationWorker, plan_annotations
from pipeline.annotation.masks import Foreground
from pipeline.common.images import RgbImage
from tests.conftest import ToySources

SHA = "ab" * 32


class Models:
    """Stands for both: no answer for the keypoints of the first image, nor for the mask of the second."""

    name, sha256 = "models", SHA

    def estimate(self, images: Sequence[RgbImage]) -> NDArray[np.float32]:
        found = np.ones((len(images), 17, 3), np.float32)
        found[0, 5, 2] = np.nan
        return found

    def segment(self, images: Sequence[RgbImage], keypoints: Sequence[NDArray[np.float32]]) -> list[Foreground]:
        mask = np.ones(images[0].shape[:2], np.bool_)
        return [Foreground(mask, np.nan if place == 1 else 0.5) for place in range(len(images))]


def test_answers_that_are_not_finite_are_rejects(
    toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.annotation.masks.load_segmenter", lambda name, device: Models())
    monkeypatch.setattr("pipeline.annotation.poses.load_pose_estimator", lambda name, device: Models())
    settings = AnnotationSettings()
    plan = plan_annotations(open_dataset(toy_sources.market), None, settings, limit=5)
    run = DatasetRun.start(str(tmp_path / "set"), "annotation", plan.plan_id, {0: 5})
    assert sum(AnnotationWorker(toy_sources.market, run.sink, settings).run(0, plan.shards[0])) == 5
    run.close()
    made = open_dataset(run.uri)
    images = plan.shards[0].column("image_id").to_pylist()
    assert [(row["item_id"], row["stage"], row["reason"]) for row in made.rejects().to_pylist()] == [
        (image, "annotate", "not_finite") for image in images[:2]
    ]
    assert set(made.read(["image_id"]).column("image_id").to_pylist()) == set(images[2:])
    assert validate(run.uri).faults == []
