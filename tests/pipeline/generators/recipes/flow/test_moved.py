"""People whom a flow lays in another pose, and what it then wants of them."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.generators.puppets import Puppet, joints_of, move_parts
from pipeline.generators.recipes.flow.asked import asked_of
from pipeline.generators.recipes.flow.moved import wanted_of
from pipeline.generators.recipes.personflow import PersonFlow
from tests.pipeline.tiny_flows import SIZE, moved_batch, recipe


def test_at_the_start_people_are_puppets() -> None:
    one = recipe(itself_share=0.0, flow_steps=1)
    with torch.no_grad():
        made = one.generate(one.build(torch.Generator().manual_seed(1), SIZE)["average"], _asked(one))
    puppet = move_parts(_asked(one)["source"], *(joints_of(_asked(one)[name]) for name in ("joints", "asked_joints")))
    torch.testing.assert_close(made, puppet.image)
    assert (puppet.image != _asked(one)["source"]).any()


def _asked(one: PersonFlow) -> dict[str, Tensor]:
    return moved_batch(one, 2) | {"noise": torch.randn(2, 3 * SIZE[0] * SIZE[1]), "seed": torch.arange(2)}


def test_people_are_wanted_before_the_background_that_they_are_moved_on() -> None:
    one = recipe(itself_share=0.0)
    images = moved_batch(one)
    told, asked = asked_of(images, torch.zeros(3, 8, dtype=torch.bool), 3)
    puppet = move_parts(images["source"], *(joints_of(images[name]) for name in ("joints", "asked_joints")))
    torch.testing.assert_close(told.start, puppet.image)
    torch.testing.assert_close(told.source, images["source"])
    laid = (puppet.image != puppet.background).any(dim=1, keepdim=True).float()
    far = torch.nn.functional.max_pool2d(torch.maximum(images["mask"], laid), 9, stride=1, padding=4) == 0
    assert far.any()
    far = far.expand(-1, 3, -1, -1)
    torch.testing.assert_close(asked.image[far], puppet.background[far])
    inside = (-torch.nn.functional.max_pool2d(-images["mask"], 9, stride=1, padding=4) == 1).expand(-1, 3, -1, -1)
    assert inside.any()
    apart = (asked.image - images["target"])[inside].abs().mean()
    assert apart < 0.5 * (puppet.image - images["target"])[inside].abs().mean(), "colours are the target's"


RED, GREEN = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ((0.6, -0.6, -0.6), (-0.6, 0.6, -0.6)))
CHECKS = (torch.arange(32)[:, None] + torch.arange(24)) % 2 * 0.2 - 0.1


def wanted_beside(start: int) -> tuple[Tensor, Tensor]:
    """What is wanted where a red puppet in squares of one pixel stands in columns 4 to 13, and a green person as wide
    from ``start`` on; and the background."""
    share, mask, background = torch.zeros(1, 1, 32, 24), torch.zeros(1, 1, 32, 24), torch.full((1, 3, 32, 24), -0.2)
    share[..., 4:28, 4:14], mask[..., 4:28, start : start + 10] = 1.0, 1.0
    laid = torch.lerp(background, RED + CHECKS, share)
    target = torch.lerp(torch.full_like(background, 0.9), GREEN, mask)
    return wanted_of(target, mask, Puppet(laid, background, share, torch.tensor([True]))), background


def test_a_puppet_leaves_its_detail_and_no_outline() -> None:
    wanted, background = wanted_beside(8)
    torch.testing.assert_close(wanted[..., :7], background[..., :7])
    torch.testing.assert_close(wanted[..., 6:26, 10:12], (GREEN + CHECKS)[..., 6:26, 10:12], atol=0.02, rtol=0)
    torch.testing.assert_close(wanted[..., 6:26, 14:17], GREEN.expand(1, 3, 20, 3), atol=1e-5, rtol=0)


def test_a_puppet_nearly_as_wide_as_the_person_keeps_its_outline() -> None:
    wanted, background = wanted_beside(6)
    torch.testing.assert_close(wanted[..., 6:26, 4:14], (GREEN + CHECKS)[..., 6:26, 4:14], atol=0.03, rtol=0)
    for beside in (slice(4), slice(14, 24)):
        torch.testing.assert_close(wanted[..., beside], background[..., beside])


def test_without_a_mask_all_of_the_target_is_wanted() -> None:
    images = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0)) - 0.5
    laid, target = torch.zeros_like(images), images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    share = torch.zeros(2, 1, 32, 24)
    share[..., 4:28, 4:14] = 1.0
    wanted = wanted_of(target, torch.zeros_like(share), Puppet(laid, images, share, torch.ones(2, dtype=torch.bool)))
    torch.testing.assert_close(wanted, target)
