"""Untrained generators of every recipe, as small as they come: real code, worthless pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.generators.networks.blocks import initialize
from pipeline.generators.recipes import find_recipe
from pipeline.generators.trained import save_generator
from pipeline.generators.trained_set import PAIRS_FILE, pair_name

SIZE = 64, 32
TINY = {"ngf": 4, "ndf": 4, "blocks": 1, "noise_size": 8, "channels": 8}


def save_tiny(folder: Path, recipe: str, seed: int = 0, stem: str = "generator", **settings: Any) -> str:
    """Write a generator of ``recipe`` to ``folder``/``stem``.safetensors; returns its SHA-256."""
    model = find_recipe(recipe)
    known = {name: value for name, value in TINY.items() if name in model.settings_model.model_fields}
    made = model(model.settings_model.model_validate({**known, **settings}))
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)  # embeddings, which `initialize` leaves as they are
        network = initialize(made.build_generator(SIZE), random)
        for parameter in network.parameters():  # all of them: conditions must show without training
            parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.2)
    folder.mkdir(parents=True, exist_ok=True)
    return save_generator(folder / f"{stem}.safetensors", network, made, *SIZE)


def save_tiny_pairs(folder: Path, cameras: tuple[int, ...]) -> str:
    """Write generators of all ordered pairs of ``cameras`` as their training does; returns the folder."""
    listed = {}
    for first in cameras:
        for second in cameras:
            if first < second:
                for source, target, stem in ((first, second, "generator"), (second, first, "generator_back")):
                    path = f"{first}_{second}/{stem}.safetensors"
                    sha256 = save_tiny(folder / f"{first}_{second}", "camstyle", 100 * source + target, stem)
                    listed[pair_name(source, target)] = {"path": path, "sha256": sha256}
    content = {"recipe": "camstyle", "cameras": list(cameras), "generators": listed}
    (folder / PAIRS_FILE).write_text(json.dumps(content))
    return str(folder)


def standing_poses(count: int = 8) -> list[list[list[float]]]:
    """``count`` different poses (17, 2) in [0, 1] of width and height."""
    heights = np.array([10, 8, 8, 9, 9, 20, 20, 35, 35, 48, 48, 52, 52, 75, 75, 97, 97]) / 100
    sides = np.array([0, 1, -1, 2, -2, 5, -5, 6, -6, 7, -7, 3, -3, 3, -3, 3, -3])
    return [np.column_stack([0.5 + sides * (number - 3.5) / 100, heights]).tolist() for number in range(count)]
