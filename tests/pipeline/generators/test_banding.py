"""Half precision leaves no bands: in smooth areas, neighbours step as they do in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.common.precision import Precision
from pipeline.common.tensors import clipped
from pipeline.generators.networks.blocks import initialize
from pipeline.generators.networks.generators import changed
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.generators.trained import load_generator, save_generator

SHIPPED = "ptgan_market_like_to_duke_like"
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
SIZE = (128, 64)


def ramps() -> NDArray[np.uint8]:
    """(4, 128, 64, 3): light that falls off slowly, in four colours and directions, as on walls and floors."""
    down, across = np.linspace(0, 1, SIZE[0])[:, None], np.linspace(0, 1, SIZE[1])[None]
    colours = np.array([[1, 1, 1], [0.9, 1, 1.1], [1.1, 1, 0.8], [0.7, 0.8, 1]])
    light = np.stack([60 + 120 * down + 20 * across, 200 - 90 * down + 0 * across, 90 + 80 * across + 0 * down])
    ramp = np.concatenate([light, [40 + 50 * down * across]])
    return np.rint(ramp[..., None] * colours[:, None, None]).astype(np.uint8)


def steps(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Levels from each pixel to the one below."""
    return np.abs(np.diff(images.astype(np.int64), axis=1))


def longest_flat(images: NDArray[np.uint8]) -> int:
    """The most pixels of one level below each other in any column."""
    longest = run = np.ones(images[:, 0].shape, np.int64)
    for equal in np.moveaxis(steps(images) == 0, 1, 0):
        run = np.where(equal, run + 1, 1)
        longest = np.maximum(longest, run)
    return int(longest.max())


def banded(made: NDArray[np.uint8], exact: NDArray[np.uint8]) -> bool:
    """Whether ``made`` has more flat runs than ``exact``, longer ones, fewer levels, or larger steps where that is
    smooth."""
    flat, flat_exact = (float((steps(images) == 0).mean()) for images in (made, exact))
    levels, levels_exact = (len(np.unique(images)) for images in (made, exact))
    return (
        flat > flat_exact + 0.02
        or longest_flat(made) > longest_flat(exact) + 8
        or levels < levels_exact - 8
        or int(steps(made)[steps(exact) <= 1].max()) > 4
    )


def test_the_last_layer_reaches_every_level_in_bfloat16() -> None:
    values = torch.linspace(-4, 4, 100_001).to(torch.bfloat16).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    for made in (torch.tanh(values), changed(torch.zeros_like(values), values)):
        levels = clipped(made).numpy()[0, 0, :, 0].astype(int)
        assert (levels[0], levels[-1]) == (0, 255)
        assert np.diff(levels).max() == 1, "a level was passed over"


def test_the_shipped_generator_makes_no_bands_in_bfloat16() -> None:
    exact, fast = (load_generator(SHIPPED, precision=one).translate(ramps()) for one in PRECISIONS)
    far = np.abs(exact.astype(int) - fast.astype(int))
    assert far.max() <= 4
    assert far.mean() < 0.3
    assert not banded(fast, exact)
    assert banded(fast // 2 * 2, exact), "bands of two levels would be seen"


def test_weights_in_float16_make_no_bands(tmp_path: Path) -> None:
    recipe = CycleGAN(CycleGANSettings(ngf=16, blocks=3))
    network = initialize(recipe.build_generator(SIZE), torch.Generator().manual_seed(0), deviation=0.03)
    made = []
    for dtype in (torch.float32, torch.float16):
        save_generator(tmp_path / "weights.safetensors", network, recipe, *SIZE, dtype=dtype)
        made.append(load_generator(tmp_path / "weights.safetensors", precision="float32").translate(ramps()))
    exact, stored = made
    assert exact.std() > 20
    assert np.abs(exact.astype(int) - stored.astype(int)).max() <= 3
    assert not banded(stored, exact)
    assert banded(stored // 2 * 2, exact)
