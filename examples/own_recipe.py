"""A recipe of your own: colours of one domain on the images of another, trained for a few steps and used.

    python examples/own_recipe.py --source runs/demo/sources/market-like --target runs/demo/sources/duke-like

A 1 x 1 network changes each pixel by itself; a judge of patches says whether the colours are the target's.
Checkpoints, logs, card and weights come from the training; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.generators.losses.adversarial import least_squares
from pipeline.generators.losses.likeness import mean_absolute
from pipeline.generators.networks.blocks import frozen, initialize
from pipeline.generators.networks.discriminators import PatchDiscriminator
from pipeline.generators.recipes.base import Batch, Recipe, RecipeSettings, Size, StepContext, Terms
from pipeline.generators.trained import load_generator
from pipeline.generators.training.loop import TrainingSettings
from pipeline.generators.training.run import TrainingRun


class Colours(Recipe):
    name, paper, label_rule = "colours", "none", "lsr"
    settings_model = RecipeSettings
    players: ClassVar = {"judge": ("judge",), "painter": ("painter",)}
    exports: ClassVar = {"generator": "painter"}

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        networks = {"painter": self.build_generator(size), "judge": PatchDiscriminator(8)}
        return nn.ModuleDict({name: initialize(network, generator) for name, network in networks.items()})

    def build_generator(self, size: Size) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 3, 1))

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        judge, source = networks["judge"], batch["source"]
        made = self.generate(networks["painter"], batch)
        yield (
            "judge",
            {
                "real": least_squares(judge(batch["target"]), real=True),
                "made": least_squares(judge(made.detach()), real=False),
            },
        )
        with frozen(judge):
            fooled = least_squares(judge(made), real=True)
        yield "painter", {"fooled": fooled, "kept": mean_absolute(made, source)}

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        return (batch["source"] + generator(batch["source"])).clamp(-1, 1)

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        return {"source": batch["source"], "made": self.generate(networks["painter"], batch)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="runs/demo/sources/market-like")
    parser.add_argument("--target", default="runs/demo/sources/duke-like")
    parser.add_argument("--output", type=Path, default=Path("runs/colours"))
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()

    settings = TrainingSettings(steps=options.steps, batch_size=4, height=64, width=32)
    manifests = {"source": (options.source, None), "target": (options.target, None)}
    run = TrainingRun(Colours(), settings, options.output, manifests)
    card = run.train()
    generator = load_generator(options.output, own_recipe=Colours)
    before = run.load()["source"].resized(64, 32).images[:4]
    pairs = np.concatenate([before, generator.translate(before)], axis=1)  # each image above what was made of it
    Image.fromarray(np.concatenate(list(pairs), axis=1)).save(options.output / "made.png")
    print(f"card: {card}\npictures: {options.output / 'made.png'}")


if __name__ == "__main__":
    main()
