"""What a generator in training makes, held against real images: the curve beside the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.common.tensors import to_batch, to_uint8
from pipeline.generators.networks.dcgan import evaluating
from pipeline.generators.recipes.gan_lsro import GanLsro, draw_noise
from pipeline.measures.sets import diversity, frechet_distance
from pipeline.reid.model import ReidModel
from pipeline.training.data import Columns
from pipeline.training.randomness import SetStream, random_generator

if TYPE_CHECKING:
    from pipeline.generators.training.loop import Training

_ROWS = 32


@dataclass(frozen=True)
class GeneratorMeter:
    """Distance to real images (FID) and variety, in the features of a ReID model, of the same ``images`` every time."""

    model: ReidModel
    images: int = 400

    def __call__(self, training: Training) -> dict[str, float]:
        columns = training.data.preview(self.images)
        made = _generate(training, columns)
        real = next(columns[name] for name in ("target", "image", "source") if name in columns)
        return {
            "fid": round(frechet_distance(self.model.pooled(real), self.model.pooled(made)), 4),
            "diversity": round(diversity(self.model, made), 4),
            "diversity_real": round(diversity(self.model, real), 4),
        }


@torch.no_grad()
def _generate(training: Training, columns: Columns) -> NDArray[np.uint8]:
    """What the generator to be exported makes of a preview's rows."""
    recipe = training.recipe
    network = next(iter(training.exported().values()))
    rows = len(next(iter(columns.values())))
    columns = recipe.completed(columns, rows, (training.settings.height, training.settings.width))
    if isinstance(recipe, GanLsro):
        columns["noise"] = draw_noise(
            recipe.settings, rows, random_generator(training.settings.seed, SetStream.MEASURED_NOISE)
        )
    if "target_camera" in columns:
        columns["camera"] = columns["target_camera"]
    made = []
    with evaluating(network):
        for start in range(0, rows, _ROWS):
            part = {name: columns[name][start : start + _ROWS] for name in recipe.inputs}
            made.append(to_uint8(recipe.generate(network, to_batch(part, training.device))))
    return np.concatenate(made)
