"""The benchmark's generators: each trained once, and found again by whatever benchmark asks for the same one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from manifests.format.names import GENERATOR_CARD
from pipeline.annotation.annotations import AnnotationSettings
from pipeline.cluster.annotate import annotate
from pipeline.cluster.pool import run_shards_here
from pipeline.cluster.train import write_camstyle_card
from pipeline.experiments.benchmark.gaps import Gap
from pipeline.experiments.benchmark.settings import Bench
from pipeline.experiments.comparison.systems import system_of
from pipeline.generators.batches.cameras import camera_pairs
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.training.loop import TrainingSettings
from pipeline.generators.training.run import TrainingRun
from pipeline.sources.toyworld import CAMERAS

PAIRED = "camstyle"
"""The recipe that has a generator for every two cameras."""


def gap_recipe(gap: Gap, name: str) -> Recipe:
    """With the settings that make it small enough for the budget, and the gap's own."""
    model = find_recipe(name)
    return model(
        model.settings_model.model_validate({**system_of(name, gap.aim).settings, **gap.generators.get(name, {})})
    )


def generator_settings(bench: Bench, name: str) -> dict[str, Any]:
    """All that decides a generator beside the world."""
    recipe = gap_recipe(bench.gap, name)
    return {
        "settings": recipe.settings.model_dump(mode="json"),
        "training": _training_settings(bench, name).model_dump(mode="json", exclude={"device", "checkpoint_every"}),
        "sets": {role: bench.gap.sets[part].name for role, part in _roles(bench.gap).items()},
    }


def generator_folder(bench: Bench, name: str) -> Path:
    """Where the gap's generator of this recipe lies, or will."""
    return bench.generator_folder(name, generator_settings(bench, name))


def needs_annotations(gap: Gap, name: str) -> bool:
    """Whether a recipe reads masks or poses."""
    return bool({"masks", "keypoints"} & set(gap_recipe(gap, name).needs))


def annotations_uri(source_uri: str) -> str:
    """Where a source manifest's masks and poses lie."""
    return f"{source_uri}-annotations"


def annotate_set(uri: str, device: str) -> str:
    """Masks and poses of a source manifest."""
    models = AnnotationSettings(device="cuda" if device == "cuda" else "cpu")
    return f"{annotate(uri, annotations_uri(uri), models, runner=run_shards_here).snapshot.rows} images"


def gap_pairs(gap: Gap) -> list[tuple[int, int]]:
    """Every two cameras of a gap."""
    domain = gap.sets["train"].domain
    return camera_pairs(list(gap.cameras or range(1, CAMERAS[domain] + 1)))


def train_generator(bench: Bench, name: str) -> str:
    """The recipe's one generator."""
    return _trained(_run(bench, name, generator_folder(bench, name)))


def train_pair(bench: Bench, pair: tuple[int, int]) -> str:
    """CamStyle's generator of two cameras."""
    first, second = pair
    return _trained(_run(bench, PAIRED, generator_folder(bench, PAIRED) / f"{first}_{second}", pair))


def join_pairs(bench: Bench) -> str:
    """The card over CamStyle's generators, which are all there."""
    pairs = gap_pairs(bench.gap)
    write_camstyle_card(generator_folder(bench, PAIRED), sorted({camera for pair in pairs for camera in pair}), pairs)
    return f"{len(pairs)} pairs of cameras"


def _run(bench: Bench, name: str, output: Path, cameras: tuple[int, int] | None = None) -> TrainingRun:
    recipe, annotated = gap_recipe(bench.gap, name), needs_annotations(bench.gap, name)
    uris = {role: bench.uri(part) for role, part in _roles(bench.gap).items()}
    manifests = {role: (uri, annotations_uri(uri) if annotated else None) for role, uri in uris.items()}
    return TrainingRun(recipe, _training_settings(bench, name), output, manifests, cameras=cameras)


def _trained(run: TrainingRun) -> str:
    if not (run.output / GENERATOR_CARD).is_file():
        run.train()
    shutil.rmtree(run.output / "checkpoints", ignore_errors=True)  # ten times as large as what is kept
    return f"{run.settings.steps} steps"


def _roles(gap: Gap) -> dict[str, str]:
    """The gap's set for each role of a recipe."""
    return {"source": "train"} | ({"target": "target"} if "target" in gap.sets else {})


def _training_settings(bench: Bench, name: str) -> TrainingSettings:
    """Those of the small trainings of the comparison."""
    system, settings = system_of(name, bench.gap.aim), bench.settings
    return TrainingSettings(
        steps=max(1, round(system.steps * settings.budget)),
        batch_size=system.batch_size,
        height=settings.height,
        width=settings.width,
        seed=bench.seed,
        average_decay=system.average_decay,
        device=settings.device,
        checkpoint_every=200,
    )
