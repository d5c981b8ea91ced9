"""One training from its inputs to its weights: what a job, a Ray worker and a Ray task call alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import UserError
from manifests.format.names import GENERATOR_CARD
from pipeline.common.devices import check_device
from pipeline.generators.batches.cameras import split_by_camera
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.generators.training.metrics import GeneratorMeter
from pipeline.generators.training.result import write_result
from pipeline.generators.training.source import load_domain
from pipeline.reid.model import load_reid
from pipeline.training.data import DomainData
from pipeline.training.workers import ALONE, Workers


@dataclass(frozen=True)
class TrainingRun:
    """What decides a training. Small and picklable: workers load the data for themselves."""

    recipe: Recipe
    settings: TrainingSettings
    output: Path
    manifests: Mapping[str, tuple[str, str | None]]
    """URIs of the source manifest and of its annotations (None: has none) by role."""
    images: int | None = None
    """At most this many images of each set."""
    licence: str | None = None
    cameras: tuple[int, int] | None = None
    """Two cameras of the one manifest that are the source and the target (CamStyle)."""
    fid_model: str | None = None
    """ReID model in whose features images are compared while training, and for the card."""

    def train(self, workers: Workers = ALONE, device: str | None = None) -> Path:
        """Train, or go on; the first worker writes weights and card. Returns the card's path.

        Raises:
            UserError: an input is missing or does not fit, or ``output`` holds another run.
        """
        settings = self.settings.model_copy(update={"device": device or self.settings.device})
        check_device(settings.device)
        data = self.load(tell=workers.rank == 0)
        if workers.rank == 0:
            print(f"train: {' and '.join(f'{len(part)} {role}' for role, part in data.items())} images", flush=True)
        recipe = self.recipe.fitted(data)
        batches = recipe.batches(data, (settings.height, settings.width), settings.seed)
        measure = GeneratorMeter(load_reid(self.fid_model)) if self.fid_model else None
        training = Training(recipe, batches, self.output, settings, workers, measure)
        training.run()
        if workers.rank == 0:
            write_result(training, data, measure(training) if measure else {}, self.licence)
        return self.output / GENERATOR_CARD

    def load(self, tell: bool = False) -> dict[str, DomainData]:
        """The training set of each role; ``tell``: say what is left out."""
        if self.cameras is None:
            return {role: self._load(role, tell) for role in (*self.recipe.roles, *self._given())}
        sets = split_by_camera(self._load("source", tell))
        missing = [camera for camera in self.cameras if camera not in sets]
        if missing:
            raise UserError(f"{self.manifests['source'][0]} has no training image of camera {missing[0]}")
        return {role: sets[camera] for role, camera in zip(self.recipe.roles, self.cameras, strict=True)}

    def _given(self) -> list[str]:
        return [role for role in self.recipe.optional_roles if role in self.manifests]

    def _load(self, role: str, tell: bool) -> DomainData:
        if role not in self.manifests:
            raise UserError(f"{self.recipe.name} learns from two domains: give --{role} URI")
        uri, annotations = self.manifests[role]
        needs = self.recipe.needs_of(role, annotated=annotations is not None)
        size = self.settings.height, self.settings.width
        return load_domain(uri, annotations, *size, needs, self.images, flag=f"--{role}-annotations", tell=tell)
