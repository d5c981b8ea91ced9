"""Trains a generator: one recipe, one or two sets of images, weights with their card.

python jobs/train_generator.py --recipe ptgan --source runs/a --target runs/b --output runs/ptgan \
    --source-annotations runs/a-annotations --target-annotations runs/b-annotations
python jobs/train_generator.py --recipe camstyle --source runs/a --output runs/camstyle    # all pairs of cameras
python jobs/train_generator.py --recipe cgan --source runs/a --output runs/cgan --workers 4 --batch-size 64

A stopped training is taken up again by the same command.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    import _start  # noqa: F401

import polars as pl
import yaml
from pydantic import Field, create_model

from manifests.errors import UserError
from manifests.format.names import GENERATOR_CARD
from manifests.reading.dataset import open_dataset
from manifests.reading.inputs import open_input
from pipeline.cluster.session import check_device_of_job, ray_session
from pipeline.cluster.train import train_on_workers, train_side_by_side, write_camstyle_card
from pipeline.common.devices import Threads, use_threads
from pipeline.common.settings import Advanced, Cluster, Input, Measure, Output, run_job
from pipeline.generators.batches.cameras import camera_pairs
from pipeline.generators.recipes import RECIPES, find_recipe
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.recipes.camstyle import CamStyle
from pipeline.generators.training.loop import TrainingSettings
from pipeline.generators.training.run import TrainingRun
from pipeline.reid.model import load_reid
from pipeline.training.workers import Workers


class TrainJob(TrainingSettings):
    """Train a generator. The recipe's own numbers are settings too: --recipe NAME --help-all lists them."""

    group = "recipe"
    recipe: str = Field(default="ptgan", description=f"one of {', '.join(sorted(RECIPES))}")
    source: Input[str] = Field(description="URI of the source manifest to train on; of domain A, where there are two")
    target: Input[str | None] = Field(
        default=None, description="URI of the manifest of domain B, whose style is learned"
    )
    source_annotations: Input[str | None] = Field(default=None, description="URI of A's annotations (for masks)")
    target_annotations: Input[str | None] = Field(default=None, description="URI of B's annotations (for masks)")
    output: Output[Path] = Field(description="folder for weights, card, checkpoints, samples and TensorBoard files")
    images: Input[int | None] = Field(default=None, ge=1, description="use at most this many images of each domain")
    fid_model: Advanced[Measure[str | None]] = Field(
        default=None, description="ReID model (of train_reid.py) in whose features FID and variety are measured"
    )
    licence: Advanced[Output[str | None]] = Field(
        default=None, description="of the generator; by default what its data say"
    )
    threads: Threads = None
    workers: Cluster[int] = Field(default=1, ge=1, description="processes or GPUs that share each batch, by Ray Train")
    cameras: list[int] = Field(default=[], description="camstyle: these cameras only, by default all of --source")
    ray_address: Cluster[str | None] = Field(
        default=None, description="a running cluster; by default the submitted job's, or local"
    )


def settings_for(recipe: type[Recipe]) -> type[TrainJob]:
    """The job's settings and those of one recipe as one model, so that both are flags and YAML keys."""
    bases: Any = (TrainJob, recipe.settings_model)  # pydantic's types want all bases of one class
    return create_model("Settings", __base__=bases, __doc__=TrainJob.__doc__)


_OF_ALL: dict[str, Any] = {
    name: (field.annotation, field)
    for recipe in RECIPES.values()
    for name, field in recipe.settings_model.model_fields.items()
}
Settings = create_model("Settings", __base__=TrainJob, **_OF_ALL)
"""What any of the recipes takes: all that the completion of the command line offers."""


def main(settings: TrainJob) -> int:
    """Train (or go on training) and write the result."""
    model = find_recipe(settings.recipe)
    of_pairs = model is CamStyle and settings.target is None
    check_device_of_job(settings.device, settings.ray_address, ray=of_pairs or settings.workers > 1)
    use_threads(settings.threads)
    if settings.cameras and model is not CamStyle:
        raise UserError(f"--cameras means nothing to --recipe {settings.recipe}: {_cameras_of_recipe(model)}")
    if settings.cameras and settings.target is not None:
        raise UserError("--cameras means nothing with --target: each of the two sets is one camera's")
    if settings.fid_model is not None:
        load_reid(settings.fid_model)  # what is wrong with it ends here, and not in a worker
    run = TrainingRun(
        recipe=model(settings.part(model.settings_model)),
        settings=settings.part(TrainingSettings),
        output=settings.output.resolve(),  # workers may run in another folder
        manifests=_manifests(settings),
        images=settings.images,
        fid_model=_full_path(settings.fid_model),
        licence=settings.licence,
    )
    if of_pairs:
        return _train_all_pairs(settings, run)
    if settings.workers == 1:
        card = run.train()
    else:
        Workers(count=settings.workers).check(settings.batch_size)
        with ray_session(settings.ray_address, device=settings.device):
            train_on_workers(run.train, settings.workers, settings.device, settings.output)
        card = settings.output / GENERATOR_CARD
    print(f"generator: {settings.output / 'generator.safetensors'}\ncard: {card}")
    return 0


def _train_all_pairs(settings: TrainJob, run: TrainingRun) -> int:
    """One generator for every two cameras, as tasks side by side; each in its own folder."""
    if settings.workers > 1:
        raise UserError("--workers shares the batches of one training; pairs of cameras train side by side without it")
    cameras = settings.cameras or _cameras_of(settings.source)
    pairs = camera_pairs(cameras)
    if not pairs:
        raise UserError(f"camstyle needs two cameras or more, {settings.source} has {len(cameras)}")
    print(f"train: {len(pairs)} pairs of the cameras {', '.join(map(str, cameras))}", flush=True)
    trainings = {
        f"cameras {first} and {second}": replace(
            run, cameras=(first, second), output=run.output / f"{first}_{second}"
        ).train
        for first, second in pairs
    }
    with ray_session(settings.ray_address, device=settings.device):
        train_side_by_side(trainings, settings.device)
    print(f"generators: {write_camstyle_card(settings.output, cameras, pairs)}")
    return 0


def _cameras_of(uri: str) -> list[int]:
    """The cameras of the training split's people."""
    rows = open_dataset(uri).scan().filter((pl.col("split") == "train") & (pl.col("role") == "person"))
    return [int(camera) for camera in rows.select("camera").unique().collect()["camera"].drop_nulls().sort()]


def _cameras_of_recipe(model: type[Recipe]) -> str:
    """What a recipe does with cameras, other than to learn every two of those named."""
    known = model.settings_model.model_fields
    if "cameras" in known:
        return "it learns all cameras of its source"
    if "source_camera" in known:
        return "its two are --source-camera and --target-camera"
    return "it does not tell cameras apart; choose rows of the source with prepare_source"


def _manifests(settings: TrainJob) -> dict[str, tuple[str, str | None]]:
    """Full URIs of what is named, which can be used: workers may run in another folder."""
    given = {"source": (settings.source, settings.source_annotations)}
    if settings.target is not None:
        given["target"] = (settings.target, settings.target_annotations)
    return {
        role: (
            open_input(uri, "source", flag=f"--{role}").uri,
            None if annotations is None else open_input(annotations, "annotation", flag=f"--{role}-annotations").uri,
        )
        for role, (uri, annotations) in given.items()
    }


def _full_path(name: str | None) -> str | None:
    """A path that is there in full; a shipped model's name as it is."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name


def _asked_recipe(arguments: list[str]) -> type[Recipe]:
    """The recipe that the command line or its --config file names: the settings depend on it.

    A mistake in either is reported by the parser, which comes after.
    """
    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    peek.add_argument("--recipe")
    peek.add_argument("--config", type=Path)
    known, _ = peek.parse_known_args([argument for argument in arguments if argument not in ("-h", "--help")])
    named = known.recipe
    if named is None and known.config is not None and known.config.is_file():
        with suppress(yaml.YAMLError, UnicodeDecodeError):
            content = yaml.safe_load(known.config.read_text(encoding="utf-8"))
            named = content.get("recipe") if isinstance(content, dict) else None
    return RECIPES.get(str(named), RECIPES["ptgan"])


if __name__ == "__main__":
    run_job(settings_for(_asked_recipe(sys.argv[1:])), main)
