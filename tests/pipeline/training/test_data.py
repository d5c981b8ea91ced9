"""Augmentation moves image, mask and keypoints together; batches are a function of their step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.data import Crop, DomainData, UnpairedDomains, crop_together

HEIGHT, WIDTH = 32, 16


def marked_domain(count: int, seed: int, height: int = 36, width: int = 18) -> DomainData:
    """Random crops whose image is white exactly where the mask is, with every keypoint on a lone red pixel."""
    rng = np.random.Generator(np.random.Philox(seed))
    masks = np.zeros((count, height, width), bool)
    keypoints = np.ones((count, 17, 3), np.float32)
    images = np.zeros((count, height, width, 3), np.uint8)
    for row in range(count):
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        masks[row, top : top + height // 3, left : left + width // 3] = True
        images[row][masks[row]] = 255
        places = rng.permutation(height * width)[:17]
        keypoints[row, :, 0], keypoints[row, :, 1] = places % width + 0.5, places // width + 0.5
        images[row].reshape(-1, 3)[places, 0] = 100 + np.arange(17)
    return DomainData(images, masks, keypoints)


@given(top=st.integers(0, 4), left=st.integers(0, 2), flip=st.booleans())
def test_mask_and_keypoints_move_with_the_image(top: int, left: int, flip: bool) -> None:
    moved = crop_together(marked_domain(3, 0), [Crop(top, left, flip)] * 3, HEIGHT, WIDTH)
    assert moved.masks is not None
    assert moved.keypoints is not None
    assert moved.images.shape == (3, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(moved.images[..., 1] == 255, moved.masks)
    seen = 0
    mirrored = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    for image, points in zip(moved.images, moved.keypoints, strict=True):
        for joint, (x, y, score) in enumerate(points):
            if score > 0:
                assert image[int(y), int(x), 0] == 100 + (mirrored[joint] if flip else joint)
                seen += 1
    assert seen > 30


def test_every_batch_keeps_mask_on_the_person() -> None:
    domains = UnpairedDomains(marked_domain(5, 1), marked_domain(7, 2), HEIGHT, WIDTH, seed=3)
    for step in range(30):
        batch = domains.batch(step, 2)
        for name in ("source", "target"):
            np.testing.assert_array_equal(batch[name][..., 1] == 255, batch[f"{name}_mask"])


def test_crops_and_flips_vary() -> None:
    ramp = np.broadcast_to(np.arange(18, dtype=np.uint8)[:, None], (4, 36, 18, 3)).copy()
    domains = UnpairedDomains(DomainData(ramp), DomainData(ramp), HEIGHT, WIDTH, seed=0)
    drawn = [row.astype(int) for step in range(40) for row in domains.batch(step, 1)["source"]]
    flipped = [row[0, 0, 0] > row[0, -1, 0] for row in drawn]
    assert 8 < sum(flipped) < 32
    assert {int(min(row[0, 0, 0], row[0, -1, 0])) for row in drawn} == {0, 1, 2}


def test_batches_depend_on_seed_and_step_alone() -> None:
    data = marked_domain(5, 1), marked_domain(7, 2)
    first, again, other = (UnpairedDomains(*data, HEIGHT, WIDTH, seed) for seed in (3, 3, 4))
    for step in range(4):
        first.batch(step, 2)
    assert all(np.array_equal(value, again.batch(4, 2)[name]) for name, value in first.batch(4, 2).items())
    assert not np.array_equal(first.batch(4, 2)["source"], other.batch(4, 2)["source"])


def test_an_epoch_sees_every_image_once() -> None:
    count = 6
    images = np.repeat(np.arange(count, dtype=np.uint8), 36 * 18 * 3).reshape(count, 36, 18, 3)
    domains = UnpairedDomains(DomainData(images), DomainData(images[:4]), HEIGHT, WIDTH, seed=0)
    drawn = np.concatenate([domains.batch(step, 2)["source"][:, 0, 0, 0] for step in range(6)])
    assert sorted(drawn[:count]) == sorted(drawn[count:]) == list(range(count))
    assert list(drawn[:count]) != list(drawn[count:])


def test_preview_is_the_whole_image_at_the_training_size() -> None:
    domains = UnpairedDomains(marked_domain(5, 1), marked_domain(3, 2), HEIGHT, WIDTH, seed=0)
    preview = domains.preview(8)
    assert preview["source"].shape == preview["target"].shape == (3, HEIGHT, WIDTH, 3)
    assert preview["source_mask"].dtype == bool


def test_resizing_moves_everything() -> None:
    data = marked_domain(2, 0)
    larger = data.resized(72, 54)
    assert larger.images.shape == (2, 72, 54, 3)
    assert larger.masks is not None
    assert data.masks is not None
    assert larger.keypoints is not None
    assert data.keypoints is not None
    assert larger.masks.mean() == pytest.approx(data.masks.mean(), abs=0.03)
    np.testing.assert_allclose(larger.keypoints[..., 0], data.keypoints[..., 0] * 3)


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), None, "images must be"),
        (np.zeros((2, 4, 4), np.uint8), None, "images must be"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 5), bool), "masks must be"),
    ],
)
def test_wrong_arrays_are_refused(images: np.ndarray, masks: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DomainData(images, masks)
