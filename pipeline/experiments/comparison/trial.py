"""Training and measuring one system in the laboratory, and what came out as a record that a page is made from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.common.json_text import json_text, write_json
from pipeline.common.images import encode
from pipeline.experiments.comparison.effects import MEASURES, Effect, pair_data
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.comparison.systems import System
from pipeline.experiments.transfer_trial import LICENCE
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.generators.training.result import write_result
from pipeline.training.data import DomainData

RECORD = "effect.json"
PICTURE = "effect.png"


@dataclass(frozen=True)
class Trial:
    """How a comparison is run: the share of each system's full budget, seed and CPU threads."""

    output: Path
    budget: float
    seed: int
    pairs: tuple[tuple[int, int], ...]
    """Pairs of cameras that CamStyle is trained for."""

    def run(self, lab: Laboratory, system: System) -> None:
        """Train (or go on) and measure, unless it was measured already; leaves a record and a picture."""
        folder = self.output / system.name
        record, wanted = folder / RECORD, self._identity(lab, system)
        if record.is_file() and json.loads(record.read_text(encoding="utf-8"))["identity"] == wanted:
            print(f"{system.name}: measured before", flush=True)
            return
        started = time.monotonic()
        recipe = self._train(lab, system, folder)
        seconds = time.monotonic() - started
        effect = MEASURES[system.gap](lab, recipe, folder)
        self._write(folder, wanted, effect, seconds)
        print(
            f"{system.name}: " + " ".join(f"{name} {value:.3f}" for name, value in effect.figures.items()), flush=True
        )

    def _train(self, lab: Laboratory, system: System, folder: Path) -> Recipe:
        """The recipe as it was fitted to its data."""
        model = find_recipe(system.recipe)
        recipe = model(model.settings_model.model_validate(dict(system.settings)))
        if system.recipe == "camstyle":
            for first, second in self.pairs:
                data = pair_data(lab.train["source"], (first, second))
                self._train_one(lab, system, recipe, data, folder / f"{first}_{second}")
            return recipe
        roles = (*recipe.roles, *(recipe.optional_roles if system.gap == "domains" else ()))
        data = {role: lab.train[role] for role in roles}
        return self._train_one(lab, system, recipe, data, folder)

    def _train_one(
        self, lab: Laboratory, system: System, recipe: Recipe, data: Mapping[str, DomainData], folder: Path
    ) -> Recipe:
        recipe = recipe.fitted(data)
        settings = TrainingSettings(
            steps=self._steps(system),
            batch_size=system.batch_size,
            height=lab.height,
            width=lab.width,
            seed=self.seed,
            average_decay=system.average_decay,
            checkpoint_every=200,
        )
        training = Training(recipe, recipe.batches(data, (lab.height, lab.width), self.seed), folder, settings)
        training.run()
        write_result(training, data, {}, LICENCE)
        return recipe

    def _steps(self, system: System) -> int:
        return max(1, round(system.steps * self.budget))

    def _identity(self, lab: Laboratory, system: System) -> dict[str, Any]:
        return {
            "system": json.loads(json_text(asdict(system))),
            "steps": self._steps(system),
            "seed": self.seed,
            "size": [lab.height, lab.width],
            "pairs": [list(pair) for pair in self.pairs] if system.recipe == "camstyle" else [],
        }

    def _write(self, folder: Path, identity: dict[str, Any], effect: Effect, seconds: float) -> None:
        (folder / PICTURE).write_bytes(encode(effect.picture, "png"))
        record = {
            "identity": identity,
            "figures": dict(effect.figures),
            "lines": list(effect.lines),
            "training_seconds": round(seconds, 1),
        }
        write_json(folder / RECORD, record)
