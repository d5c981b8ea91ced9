"""Single drawn crops: their truth agrees with their pixels, and nothing but names decides them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.sources.toyworld import CAMERAS, ToySample, ToyWorldSettings, render_sample, render_variety

SETTINGS = ToyWorldSettings(identities=8, seed=4)


@pytest.fixture(scope="module")
def samples() -> list[ToySample]:
    drawn = [
        render_sample(SETTINGS, domain, identity, camera, draw)
        for domain, cameras in (("market-like", (1, 4)), ("duke-like", (2, 8)))
        for camera in cameras
        for identity in (1, 2, 3, 4, 5)
        for draw in (0, 1)
    ]
    return drawn + [render_variety(5, number, places=3) for number in range(30)]


def test_sizes_and_types(samples: list[ToySample]) -> None:
    for sample in samples:
        assert sample.image.shape == (128, 64, 3)
        assert sample.image.dtype == np.uint8
        assert sample.mask.shape == (128, 64)
        assert sample.mask.dtype == np.bool_
        assert sample.keypoints.shape == (17, 3)
        assert set(np.unique(sample.keypoints[:, 2])) <= {0, 1, 2}
        assert 0 <= sample.heading_deg < 360


def test_visible_keypoints_lie_on_the_mask(samples: list[ToySample]) -> None:
    for sample in samples:
        distance = cv2.distanceTransform((~sample.mask).astype(np.uint8), cv2.DIST_L2, 5)
        for x, y, visibility in sample.keypoints:
            if visibility == 2:
                assert distance[int(y), int(x)] <= 2.01
            if visibility:
                assert 0 <= x < 64
                assert 0 <= y < 128
            else:
                assert (x, y) == (0, 0)


def test_most_people_fill_their_crop(samples: list[ToySample]) -> None:
    covered = np.array([sample.mask.mean() for sample in samples])
    assert 0.12 < np.median(covered) < 0.6
    seen = [np.mean(sample.keypoints[:, 2] == 2) for sample in samples]
    assert np.mean(seen) > 0.45


def test_view_follows_from_the_heading_and_hides_the_face(samples: list[ToySample]) -> None:
    for sample in samples:
        away = min(sample.heading_deg, 360 - sample.heading_deg)
        assert sample.view == ("front" if away < 45 else "back" if away > 135 else "side")
        if away > 150 and sample.camera in (1, 2, 4, 8) and abs(sample.keypoints[0, 0]) > 0:
            assert sample.keypoints[0, 2] != 2, "the nose is seen through the back of the head"


def test_the_mask_is_the_person_and_not_the_place() -> None:
    """Two people before the same place: pixels outside both masks and their shadows are alike."""
    red = render_sample(SETTINGS, "market-like", 1, 2, 0)
    assert red.mask.any()
    inside, outside = red.image[red.mask].astype(float), red.image[~red.mask].astype(float)
    assert np.linalg.norm(inside.mean(0) - outside.mean(0)) > 5


def test_the_same_names_give_the_same_bytes_and_others_do_not() -> None:
    first = render_sample(SETTINGS, "duke-like", 2, 3, 1)
    again = render_sample(SETTINGS, "duke-like", 2, 3, 1)
    assert first.jpeg == again.jpeg
    assert np.array_equal(first.mask, again.mask)
    assert np.array_equal(first.keypoints, again.keypoints)
    assert render_sample(SETTINGS, "duke-like", 2, 3, 2).jpeg != first.jpeg
    assert render_variety(1, 2, places=2).jpeg == render_variety(1, 2, places=2).jpeg


def test_other_sizes() -> None:
    sample = render_sample(ToyWorldSettings(seed=4, height=256, width=128), "market-like", 1, 1, 0)
    small = render_sample(ToyWorldSettings(seed=4), "market-like", 1, 1, 0)
    assert sample.image.shape == (256, 128, 3)
    shrunk = cv2.resize(sample.mask.astype(np.uint8), (64, 128), interpolation=cv2.INTER_AREA) > 0
    assert (shrunk & small.mask).sum() > 0.9 * small.mask.sum()
    seen = (sample.keypoints[:, 2] > 0) & (small.keypoints[:, 2] > 0)
    assert np.allclose(sample.keypoints[seen, :2] / 2, small.keypoints[seen, :2], atol=0.01)


def test_the_domains_differ_in_colour() -> None:
    """Market-like is brighter, warmer and more saturated: the shift that a style transfer has to make."""
    means = {}
    for domain, count in CAMERAS.items():
        crops = [render_sample(SETTINGS, domain, i, c, 0).image for i in (1, 3) for c in range(1, count + 1, 2)]
        means[domain] = np.mean([crop.reshape(-1, 3).mean(0) for crop in crops], axis=0)
    market, duke = means["market-like"], means["duke-like"]
    assert market[0] - market[2] > duke[0] - duke[2] + 10
    assert market.mean() > duke.mean()


def test_nobody_is_in_an_empty_box() -> None:
    sample = render_sample(SETTINGS, "market-like", 1, 1, 0, "empty")
    assert not sample.mask.any()
    assert not (sample.keypoints[:, 2] == 2).any()
