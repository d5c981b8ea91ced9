"""Training and measuring a domain transfer on a toy world: true masks, and people that no training saw."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments.toyworld_data import WorldData, load_toyworld
from pipeline.experiments.transfer_quality import (
    PlaceJudge,
    TransferQuality,
    hide_people,
    measure_transfer,
    target_share,
    train_judge,
)
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.trained import Generator, load_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.generators.training.result import write_result
from pipeline.training.data import Columns, DomainData

SOURCE, TARGET = "market-like", "duke-like"
LICENCE = "Apache-2.0"


class ToyTrial:
    """One world's two domains, split by person into training and test, and a judge of their places."""

    def __init__(self, world: Path, seed: int = 0, test_images: int = 400) -> None:
        """Raises UserError where there is no world."""
        self.train = {role: load_toyworld(world, name, ["train"]) for role, name in _roles().items()}
        self.test = {role: load_toyworld(world, name, ["query"], test_images) for role, name in _roles().items()}
        self.seed = seed

    @cached_property
    def judge(self) -> PlaceJudge:
        """Trained on the training people's places when it is first asked for."""
        return train_judge(self.train["source"], self.train["target"], self.seed)

    def judge_shares(self) -> dict[str, float]:
        """What share of the real test places of each domain the judge takes for the target's: near 0 and near 1."""
        return {role: target_share(self.judge, hide_people(data)) for role, data in self.test.items()}

    def run(self, recipe: Recipe, output: Path, settings: TrainingSettings) -> Path:
        """Train (or go on) in ``output`` at the world's own size and write the result; returns its card."""
        height, width = self.train["source"].images.shape[1:3]
        settings = settings.model_copy(update={"height": height, "width": width})
        recipe = recipe.fitted(self.train)
        training = Training(recipe, recipe.batches(self.train, (height, width), settings.seed), output, settings)
        training.run()
        return write_result(training, self.train, {}, LICENCE)

    def measure(self, generator: str | Path) -> tuple[TransferQuality, DomainData]:
        """How the generator does on the test people, and what it made of them."""
        source = self.test["source"]
        made = translate(load_generator(generator), source)
        quality = measure_transfer(source, made, self.test["target"], self.judge)
        return quality, DomainData(made, source.masks)


def translate(generator: Generator, people: WorldData) -> NDArray[np.uint8]:
    """(N, H, W, 3): ``people`` as ``generator`` restyles them, who may be told where they stand."""
    columns: Columns = {"source": people.images, "person": people.masks}
    return generator.generate({name: columns[name] for name in generator.inputs if name in columns})


def _roles() -> dict[str, str]:
    return {"source": SOURCE, "target": TARGET}
