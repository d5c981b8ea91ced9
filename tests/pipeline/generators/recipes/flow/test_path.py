"""The path between noise and images: what a network says at a place of it, and where that leads."""

from __future__ import annotations

import pytest
import torch

from pipeline.generators.recipes.flow.path import FlowPath, mixed, wide

TIME = torch.tensor([0.0, 0.25, 0.5, 0.9])
PATH = FlowPath(0.33)


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and noise."""
    random = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 16, 8, generator=random), torch.randn(4, 3, 16, 8, generator=random)


def test_with_what_is_wanted_a_step_of_any_length_leads_straight_to_the_image(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    image, noise = pair
    noisy, wanted = mixed(TIME, image, noise), PATH.wanted(TIME, image, noise)
    torch.testing.assert_close(PATH.image(noisy, TIME, wanted), image)
    torch.testing.assert_close(PATH.led_to(noisy, TIME, image), wanted)
    torch.testing.assert_close(PATH.speed(noisy, TIME, wanted), image - noise)
    torch.testing.assert_close(noisy + wide(1 - TIME) * PATH.speed(noisy, TIME, wanted), image)
    at_the_end = PATH.wanted(torch.ones(4), image, noise)
    torch.testing.assert_close(at_the_end, -noise, msg="finite where nothing is left to say")


def test_what_goes_in_and_out_has_unit_variance() -> None:
    random = torch.Generator().manual_seed(1)
    image = 0.33 * torch.randn(4, 3, 100, 100, generator=random)
    noise = torch.randn(4, 3, 100, 100, generator=random)
    shown = PATH.shown(mixed(TIME, image, noise), TIME)
    assert shown.flatten(1).std(dim=1).tolist() == pytest.approx([1] * 4, rel=0.02)
    wanted = PATH.wanted(TIME, image, noise)
    assert wanted.flatten(1).std(dim=1).tolist() == pytest.approx([1] * 4, rel=0.02)
