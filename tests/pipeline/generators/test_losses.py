"""Loss terms against hand-computed values."""

from __future__ import annotations

import pytest
import torch

from pipeline.generators.losses.adversarial import least_squares
from pipeline.generators.losses.likeness import MaskForm, identity_mask, mean_absolute


def test_least_squares() -> None:
    scores = torch.tensor([1.0, 0.0, 3.0])
    assert least_squares(scores, real=True).item() == pytest.approx((0 + 1 + 4) / 3)
    assert least_squares(scores, real=False).item() == pytest.approx((1 + 0 + 9) / 3)


def test_mean_absolute_is_float32_whatever_comes_in() -> None:
    value = mean_absolute(torch.ones(4, dtype=torch.bfloat16), -torch.ones(4))
    assert value.dtype == torch.float32
    assert value.item() == 2


def person(height: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, 8, 4)
    mask[:, :, :height] = 1
    return mask


def test_identity_mask_by_area_does_not_depend_on_size() -> None:
    source = torch.zeros(1, 3, 8, 4)
    generated = torch.full_like(source, 0.5)
    for height in (2, 8):
        assert identity_mask(generated, source, person(height)).item() == pytest.approx(0.5, abs=1e-3)
        squared = identity_mask(generated, source, person(height), "area", "squared")
        assert squared.item() == pytest.approx(0.25)


def test_identity_mask_as_published_averages_over_all_pixels() -> None:
    source = torch.zeros(1, 3, 8, 4)
    generated = torch.full_like(source, 0.5)
    assert identity_mask(generated, source, person(2), "image", "squared").item() == pytest.approx(0.25 * 2 / 8)
    root = identity_mask(generated, source, person(2), "image", "root")
    assert root.item() == pytest.approx((0.25 * 2 / 8) ** 0.5, abs=1e-3)


@pytest.mark.parametrize("form", ["root", "squared"])
def test_identity_mask_sees_nothing_but_the_person(form: MaskForm) -> None:
    source = torch.zeros(1, 3, 8, 4)
    generated = source.clone()
    generated[:, :, 5:] = 1
    assert identity_mask(generated, source, person(5), "area", form).item() == 0
    assert identity_mask(generated, source, person(6), "area", form).item() > 0.1


@pytest.mark.parametrize("form", ["root", "squared"])
def test_identity_mask_weighs_each_image_alike_and_takes_an_empty_mask(form: MaskForm) -> None:
    source = torch.zeros(2, 3, 8, 4)
    generated = torch.ones_like(source).requires_grad_()
    masks = torch.cat([person(1), person(8)])
    assert identity_mask(generated, source, masks, "area", form).item() == pytest.approx(1.0, abs=1e-3)
    nothing = identity_mask(generated, source, torch.zeros_like(masks), "area", form)
    assert nothing.item() == 0
    nothing.backward()
    assert generated.grad is not None
    assert not generated.grad.any()
