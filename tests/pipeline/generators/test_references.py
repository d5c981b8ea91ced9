"""Images with a reference: another image of the person, or the image itself as another camera would show it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.common.colours import look_of
from pipeline.common.detail_transfer import bands_of
from pipeline.generators.batches.pairs import identity_partners
from pipeline.generators.batches.references import Referenced
from pipeline.generators.networks.flow import ITSELF, MOVED
from pipeline.training.data import Columns, DomainData

SIZE = 32, 16


def named(count: int = 12) -> DomainData:
    """Three images each of some people, each image of one brightness that tells which it is, and noise."""
    rng = np.random.Generator(np.random.Philox(0))
    images = rng.integers(0, 20, (count, 36, 18, 3)) + (20 * np.arange(count))[:, None, None, None]
    masks = np.broadcast_to(np.arange(18) >= 9, (count, 36, 18))
    points = np.dstack([rng.random((count, 17, 2)) * (18, 36), np.ones((count, 17))]).astype(np.float32)
    cameras = np.arange(count) % 3
    return DomainData(images.astype(np.uint8), masks, points, identities=np.arange(count) // 3, cameras=cameras)


def unnamed(count: int = 6) -> DomainData:
    rng = np.random.Generator(np.random.Philox(1))
    return DomainData(rng.integers(100, 256, (count, 36, 18, 3)).astype(np.uint8))


def batches(itself: float = 0.5, target: bool = True, background: float = 0.0) -> Referenced:
    data = {"source": named()} | ({"target": unnamed()} if target else {})
    cameras = np.concatenate([np.arange(12) % 3, *([np.full(6, 3)] if target else [])])
    partners = identity_partners(named()) + [np.empty(0, np.int64)] * (6 if target else 0)
    return Referenced(data, cameras, partners, SIZE, 4, itself, background)


def seen(source: Referenced, steps: int = 20) -> Columns:
    parts = [source.batch(step, 6) for step in range(steps)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize(("itself", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_how_often_an_image_is_its_own_reference(itself: float, share: float) -> None:
    columns = seen(batches(itself))
    of_source = columns["camera"] < 3
    assert (columns["reference"] == ITSELF)[of_source].mean() == pytest.approx(share, abs=0.15)
    assert (columns["reference"] == ITSELF)[~of_source].all(), "nobody knows who they are"


def test_another_image_is_the_same_persons() -> None:
    columns = seen(batches(0.0, target=False))
    target, source = (columns[name].mean(axis=(1, 2, 3)).round().astype(int) // 20 for name in ("target", "source"))
    assert (target != source).all()
    assert (target // 3 == source // 3).all()
    assert (target % 3 == columns["camera"]).all()
    drawn = columns["skeleton"].any(axis=(1, 2, 3))
    assert drawn.all()


def test_the_image_itself_has_the_look_of_another_camera() -> None:
    columns = seen(batches(1.0))
    assert not columns["skeleton"].any(), "the reference shows the pose"
    assert columns["target"].shape == columns["source"].shape
    known = {3: unnamed().images} | {camera: named().images[camera::3] for camera in range(3)}
    for place in range(12):
        others = np.concatenate([images for camera, images in known.items() if camera != columns["camera"][place]])
        given, own = (columns[name][place] for name in ("source", "target"))
        near = [np.abs(look_of(given)[:3] - look_of(other)[:3]).max() for other in others]
        assert min(near) < 8, "of a camera that is not its own"
        assert np.corrcoef(given.mean(axis=2).ravel(), own.mean(axis=2).ravel())[0, 1] > 0.5, "pixel by pixel"


def test_masks_are_the_targets_where_they_are_known() -> None:
    columns = seen(batches(0.5))
    of_source = columns["camera"] < 3
    assert columns["mask"][of_source].any(axis=(1, 2)).all()
    assert not columns["mask"][~of_source].any()


def test_some_people_alone_look_otherwise() -> None:
    plain, columns = seen(batches(1.0)), seen(batches(1.0, background=1.0))
    of_source = columns["camera"] < 3
    for name in ("target", "source", "mask", "reference", "camera"):
        np.testing.assert_array_equal(plain[name][0], columns[name][0], err_msg="nothing else is drawn otherwise")
    np.testing.assert_array_equal(plain["background"], plain["source"])
    np.testing.assert_array_equal(columns["background"][~of_source], columns["source"][~of_source])
    assert plain["known"].all()
    assert columns["known"][~of_source].all()
    background, target, person = (columns[name][of_source] for name in ("background", "target", "mask"))
    there = columns["known"][of_source]
    assert there[person].all()
    around = there & ~person
    assert (background[around] == target[around]).all(), "beside people it is the camera's own"
    assert 0 < around.mean() < (~person).mean(), "but where somebody was taken out of it"


def test_known_is_nothing_of_another_image() -> None:
    columns = seen(batches(0.0, background=1.0))
    another = columns["reference"] == MOVED
    assert not columns["known"][another].any()
    np.testing.assert_array_equal(columns["background"][another], columns["source"][another])


def test_a_batch_can_be_made_again() -> None:
    first, second = (batches(background=0.5).batch(7, 6) for _ in range(2))
    for name, column in first.items():
        np.testing.assert_array_equal(column, second[name])
    assert set(batches().digests()) == {"source", "target"}


def test_the_preview_shows_whole_images_beside_their_first_partner() -> None:
    columns = batches().preview(4)
    assert (columns["reference"] == MOVED).all()
    assert columns["target"].shape == (4, *SIZE, 3)
    alone = Referenced({"source": unnamed()}, np.zeros(6, np.int64), [np.empty(0, np.int64)] * 6, SIZE, 0, 0.5)
    np.testing.assert_array_equal(alone.preview(3)["source"], alone.preview(3)["target"])
    assert bands_of(alone.preview(1)["source"][0]).shape == (3,)
