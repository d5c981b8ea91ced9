"""Winograd's convolutions: the direct sum's values, at any size, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipeline.common.winograd import LEAST_CHANNELS, WinogradConv, use_winograd


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (16, 8, {"padding": 1}),
        (9, 14, {"padding": 0}),
        (6, 3, {"padding": 1, "bias": False}),
        (4, 4, {"padding": 1}),
        (31, 18, {"padding": 1}),  # longer than a line
        (9, 40, {"padding": 0}),
    ],
)
def test_the_values_are_those_of_the_direct_sum(height: int, width: int, options: dict[str, Any]) -> None:
    torch.manual_seed(5)
    conv, x = nn.Conv2d(33, 20, 3, **options), torch.randn(3, 33, height, width)
    with torch.inference_mode():
        made = WinogradConv(conv)(x)
        direct = conv.double()(x.double())
    assert made.dtype == torch.float32
    torch.testing.assert_close(made.double(), direct, rtol=0, atol=2e-5 * float(direct.abs().max()))


@pytest.mark.parametrize("side", [8, 32])
def test_bfloat16_is_near(side: int) -> None:
    torch.manual_seed(5)
    conv, x = nn.Conv2d(33, 20, 3, padding=1).bfloat16(), torch.randn(3, 33, side, side).bfloat16()
    with torch.inference_mode():
        made = WinogradConv(conv)(x)
        direct = conv.float()(x.float())
    assert made.dtype == torch.bfloat16
    assert (made.float() - direct).square().mean().sqrt() < 0.03 * direct.std()


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"dilation": 2},
        {"groups": 2},
        {"padding": 2},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": "same"},
    ],
)
def test_other_convolutions_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="only plain 3 x 3"):
        WinogradConv(nn.Conv2d(4, 4, 3, **options))


def test_only_the_convolutions_that_gain_are_replaced() -> None:
    many = LEAST_CHANNELS
    model = nn.Sequential(
        nn.Conv2d(3, many, 3), nn.Sequential(nn.Conv2d(many, many, 3)), nn.Conv2d(many, many, 1), nn.ReLU()
    )
    use_winograd(model)
    assert [type(part) for part in (model[0], model[1][0], model[2])] == [nn.Conv2d, WinogradConv, nn.Conv2d]
