"""Training of the small segmenter: samples stay aligned, the loss ranks masks, a run is taken up again exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from pipeline.annotation.shipped.segmenter_training import (
    SegmentationData,
    SegmenterTraining,
    draw_batch,
    segmentation_loss,
    train_segmenter,
)
from pipeline.common.finite import NotFiniteError

SETTINGS = SegmenterTraining(steps=4, batch_size=4, warmup=1, save_every=2, seed=3)


@pytest.fixture(scope="module")
def ellipses() -> SegmentationData:
    """White ellipses on black, with one keypoint in each one's middle."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:128, :64]
    middles = rng.uniform((40, 24), (88, 40), (12, 2))
    masks = np.stack([((rows - y) / 30) ** 2 + ((columns - x) / 12) ** 2 < 1 for y, x in middles])
    keypoints = np.zeros((12, 17, 3), np.float32)
    keypoints[:, 0] = np.column_stack([middles[:, ::-1], np.ones(12)])
    return SegmentationData(np.repeat(masks[..., None], 3, axis=3).astype(np.uint8) * 255, masks, keypoints)


def test_image_mask_and_keypoints_move_together(ellipses: SegmentationData) -> None:
    batch = draw_batch(ellipses, None, replace(SETTINGS, batch_size=32), step=0)
    bright = torch.nn.functional.avg_pool2d(batch["canvases"].mean(1, keepdim=True), 2)[:, 0]
    middle = (bright.amax((1, 2)) + bright.amin((1, 2))) / 2
    seen, true = bright > middle[:, None, None], batch["masks"] > 0.5
    overlap = (seen & true).sum((1, 2)) / (seen | true).sum((1, 2))
    assert overlap.min() > 0.9
    prompted = batch["labels"][:, 0] == 1
    assert 0 < prompted.sum() < 32  # some samples have no keypoints, so that the box alone works too
    places = (batch["points"][prompted, 0] / 2).long().clamp(0, 63)
    assert batch["masks"][prompted, places[:, 1], places[:, 0]].mean() > 0.95


def test_draws_follow_from_seed_and_step(ellipses: SegmentationData) -> None:
    first, again, later = (draw_batch(ellipses, None, SETTINGS, step) for step in (7, 7, 8))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["canvases"], later["canvases"])


def test_chances_decide_what_is_drawn(ellipses: SegmentationData) -> None:
    chances = np.zeros(12)
    chances[4] = 1
    keypoints = np.tile(np.array([[32, 64, 0]], np.float32), (12, 17, 1))
    keypoints[4, :, 2] = 1
    only = replace(ellipses, keypoints=keypoints, chances=chances)
    drawn = [draw_batch(only, None, SETTINGS, step)["labels"] for step in range(4)]
    assert (torch.cat(drawn) == 1).any(dim=1).float().mean() > 0.5


def test_the_loss_ranks_masks_and_predicted_quality() -> None:
    true = torch.zeros(1, 16, 16)
    true[:, 4:12, 4:12] = 1
    right, wrong = (true * 2 - 1) * 8, (torch.roll(true, 6, 2) * 2 - 1) * 8
    one, none = torch.ones(1), torch.zeros(1)
    assert segmentation_loss(right, one, true) < 0.01
    assert segmentation_loss(right, one, true) < segmentation_loss(right, none, true)
    assert segmentation_loss(right, one, true) < segmentation_loss(wrong, none, true)
    assert segmentation_loss(wrong, none, true) < segmentation_loss(wrong, one, true)


def test_a_run_is_taken_up_again_exactly(ellipses: SegmentationData, tmp_path: Path) -> None:
    # The learning rate follows from the number of steps, so the run is cut by a failure, not by fewer steps.
    cut = _Cut(ellipses.images, ellipses.masks, ellipses.keypoints)
    with pytest.raises(InterruptedError):
        train_segmenter(cut, None, SETTINGS, tmp_path / "cut")
    assert (tmp_path / "cut" / "state.pt").is_file()
    resumed = train_segmenter(ellipses, None, SETTINGS, tmp_path / "cut")
    straight = train_segmenter(ellipses, None, SETTINGS, tmp_path / "straight")
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


class _Cut(SegmentationData):
    """Data whose chances fail on the 12th draw, in the middle of the third step."""

    def __getattribute__(self, name: str) -> object:
        if name == "chances":
            drawn = self.__dict__.setdefault("drawn", [])
            drawn.append(name)
            if len(drawn) == 12:
                raise InterruptedError
        return super().__getattribute__(name)


def test_a_training_that_diverges_stops(ellipses: SegmentationData, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError, match=r"^training stopped at step \d: [^\n]*no checkpoint was written[^\n]*$"):
        train_segmenter(ellipses, None, replace(SETTINGS, learning_rate=1e30), tmp_path)
    assert not list(tmp_path.iterdir())
    torch.save({"step": 2, "model": {"weight": torch.tensor([torch.nan])}}, tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"state\.pt is not finite \(model\.weight\)"):
        train_segmenter(ellipses, None, SETTINGS, tmp_path)
