"""People before other backgrounds: whose they are, where the edge lies, and what a row depends on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.generators.backgrounds import Backgrounds, Known, grown, matted, pasted, without_person
from pipeline.training.data import DomainData

SIZE = 32, 16


def standing() -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, np.bool_)
    mask[8:28, 5:11] = True
    return mask


def of_cameras(*colours: int, rows: int = 6) -> DomainData:
    """White people before a grey of each camera, in turn."""
    turns = np.arange(rows) % len(colours)
    images = np.empty((rows, *SIZE, 3), np.uint8)
    images[:] = np.array(colours, np.uint8)[turns][:, None, None, None]
    images[:, standing()] = 255
    return DomainData(images, np.repeat(standing()[None], rows, axis=0), cameras=turns.astype(np.int64))


def kept(data: DomainData, cameras: int, most: int = 64) -> tuple[Backgrounds, Known]:
    assert data.cameras is not None
    known = Known.of(data, data.cameras, cameras, most)
    made = Backgrounds(known.counts, SIZE)
    known.filled_in(made)
    return made, known


def batch(value: float, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.from_numpy(standing()).float().expand(rows, 1, *SIZE)
    return torch.full((rows, 3, *SIZE), value), mask


def test_nobody_is_left_of_a_person_taken_out() -> None:
    data = of_cameras(40)
    assert data.masks is not None
    empty = without_person(data.images[0], data.masks[0])
    assert (empty == 40).all()
    assert grown(standing()).sum() == (20 + 2) * (6 + 2), "a pixel around at this height"
    tall = np.zeros((256, 128), np.bool_)
    tall[100, 60] = True
    assert grown(tall).sum() == 81, "four at that one"


def test_a_person_stands_before_the_camera_asked_for() -> None:
    backgrounds, known = kept(of_cameras(40, 90, 200), 3)
    assert known.counts == (2, 2, 2)
    source, mask = batch(1.0, 3)
    made = backgrounds.behind(source, mask, torch.tensor([0, 2, 1]), torch.tensor([0, 1, 2]))
    assert (made[:, :, 0, 0] * 127.5 + 127.5).round().tolist() == [[40.0] * 3, [200.0] * 3, [90.0] * 3]
    assert (made[:, :, 12:24, 7:9] == 1).all(), "inside their mask people are as they were"


def test_edges_are_two_pixels_soft() -> None:
    person, mask = batch(1.0, 1)
    made = pasted(person, mask, -person)[0, 0, 16]
    assert made[:11].tolist() == pytest.approx([-1, -1, -1, -1, -1 / 3, 1 / 3, 1, 1, 1, 1, 1 / 3], abs=1e-6)


def test_a_mask_that_is_too_wide_brings_no_fringe_of_the_old_background() -> None:
    red, blue, green = (torch.tensor(colour)[:, None] for colour in ([1.0, -1, -1], [-1.0, -1, 1], [-1.0, 1, -1]))
    source, background, exact = (one[None, :, :, None].expand(1, 3, *SIZE).clone() for one in (blue, green, green))
    for image in (source, exact):
        image[0, :, torch.from_numpy(standing())] = red
    wide = functional.max_pool2d(torch.from_numpy(standing())[None, None].float(), 3, stride=1, padding=1)
    torch.testing.assert_close(matted(source, wide, background), exact, atol=0.05, rtol=0)
    assert pasted(source, wide, background)[:, 2].max() > 0.3, "blue, as it would be otherwise"


def test_where_colours_tell_nothing_the_mask_does() -> None:
    person, background = torch.rand(2, 1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    thin, cut_off, mask = torch.zeros(1, 1, *SIZE), torch.ones(1, 1, *SIZE), batch(0.0, 1)[1]
    thin[:, :, 4:28, 7:9] = 1
    assert torch.equal(matted(person, thin, background), pasted(person, thin, background))
    assert torch.equal(matted(person, cut_off, background), person), "an image's border is no edge"
    assert torch.equal(matted(person, mask, background)[:, :, 10:26, 7:9], person[:, :, 10:26, 7:9])
    alike = torch.full_like(person, 0.25)
    torch.testing.assert_close(matted(alike, mask, background), pasted(alike, mask, background))


def test_without_a_person_or_a_background_an_image_stays() -> None:
    backgrounds, known = kept(of_cameras(40, 90), 3)
    assert known.counts == (3, 3, 0)
    source, mask = batch(0.5, 3)
    mask = mask * torch.tensor([0.0, 1.0, 1.0]).view(3, 1, 1, 1)
    source = source * torch.linspace(0, 1, SIZE[1])
    for clean_edges in (False, True):
        made = backgrounds.behind(source, mask, torch.tensor([0, 2, 9]), torch.arange(3), clean_edges)
        assert (made == source).all()
    assert not Backgrounds((), SIZE).state_dict()["images"].numel()


def test_the_seed_alone_draws() -> None:
    at = 40
    data = of_cameras(10)
    data.images[:] += (30 * np.arange(len(data.images), dtype=np.uint8))[:, None, None, None]
    backgrounds, _ = kept(data, 1)
    source, mask = batch(1.0, at)
    seeds = torch.arange(at) + 2**40
    made = backgrounds.behind(source, mask, torch.zeros(at, dtype=torch.int64), seeds)
    assert len(made[:, 0, 0, 0].unique()) == len(data.images)
    alone = backgrounds.behind(source[:1], mask[:1], torch.zeros(1, dtype=torch.int64), seeds[7:8])
    assert (alone[0] == made[7]).all()


def test_few_are_spread_over_the_images_with_masks() -> None:
    data = of_cameras(0, rows=9)
    assert data.masks is not None
    data.images[:] += (20 * np.arange(9, dtype=np.uint8))[:, None, None, None]
    data.masks[0] = False
    _, known = kept(data, 1, most=3)
    assert known.images[:, 0, 0, 0].tolist() == [20, 80, 160]


def test_images_of_another_size_are_scaled() -> None:
    backgrounds, _ = kept(of_cameras(40, 90), 2)
    source, mask = torch.ones(1, 3, 64, 32), torch.zeros(1, 1, 64, 32)
    mask[:, :, 20:40, 10:20] = 1
    made = backgrounds.behind(source, mask, torch.tensor([1]), torch.tensor([0]))
    assert (made[0, :, 0, 0] * 127.5 + 127.5).round().tolist() == [90.0] * 3
