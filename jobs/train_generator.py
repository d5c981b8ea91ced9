"""Trains a generator: one recipe, a source and a target domain, weights with their card.

python jobs/train_generator.py --recipe ptgan --source runs/a --target runs/b --output runs/ptgan \
    --source-annotations runs/a-annotations --target-annotations runs/b-annotations

A stopped training is taken up again by the same command.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path

import torch
import yaml
from pydantic import Field, create_model

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from manifests.errors import UserError
from pipeline.recipes import RECIPES, find_recipe
from pipeline.recipes.base import Recipe
from pipeline.settings import JobSettings, run_job
from pipeline.training import Training, TrainingSettings
from pipeline.training_data import DomainData
from pipeline.training_result import write_result
from pipeline.training_source import load_domain


class TrainJob(TrainingSettings):
    """Train a generator. The recipe's own numbers are settings too: --recipe NAME --help lists them."""

    recipe: str = Field(default="ptgan", description=f"one of {', '.join(sorted(RECIPES))}")
    source: str = Field(description="URI of the source manifest to train on; of domain A, where there are two")
    target: str | None = Field(default=None, description="URI of the manifest of domain B, whose style is learned")
    source_annotations: str | None = Field(default=None, description="URI of A's annotations (for masks)")
    target_annotations: str | None = Field(default=None, description="URI of B's annotations (for masks)")
    output: Path = Field(description="folder for weights, card, checkpoints, samples and TensorBoard files")
    images: int | None = Field(default=None, ge=1, description="use at most this many images of each domain")
    licence: str | None = Field(default=None, description="of the generator; by default what its data say")
    threads: int | None = Field(default=None, ge=1, description="CPU threads; by default one for each core")


def settings_for(recipe: type[Recipe]) -> type[TrainJob]:
    """The job's settings and those of one recipe as one model, so that both are flags and YAML keys."""
    return create_model("Settings", __base__=(TrainJob, recipe.settings_model), __doc__=TrainJob.__doc__)


def main(settings: TrainJob) -> int:
    """Train (or go on training) and write the result."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    model = find_recipe(settings.recipe)
    recipe = model(_part(settings, model.settings_model))
    data = {role: _load(settings, role, recipe) for role in recipe.roles}
    print(f"train: {' and '.join(f'{len(part)} {role}' for role, part in data.items())} images", flush=True)
    recipe = recipe.fitted(data)
    batches = recipe.batches(data, (settings.height, settings.width), settings.seed)
    training = Training(recipe, batches, settings.output, _part(settings, TrainingSettings))
    training.run()
    card = write_result(training, data, {}, settings.licence)
    print(f"generator: {settings.output / 'generator.safetensors'}\ncard: {card}")
    return 0


def _load(settings: TrainJob, role: str, recipe: Recipe) -> DomainData:
    uri, annotations = getattr(settings, role), getattr(settings, f"{role}_annotations")
    if uri is None:
        raise UserError(f"{recipe.name} learns from two domains: give --{role} URI")
    return load_domain(uri, annotations, settings.height, settings.width, recipe.needs, settings.images)


def _part(settings: TrainJob, model: type[JobSettings]) -> JobSettings:
    return model.model_validate(settings.model_dump(include=set(model.model_fields)))


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
