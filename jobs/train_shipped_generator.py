"""Makes a shipped generator again: draws the toy world, trains market-like to duke-like, measures, ships.

python jobs/train_shipped_generator.py --output runs/shipped_generator                 # the demo's, a personflow
python jobs/train_shipped_generator.py --recipe ptgan --output runs/shipped_ptgan      # the PTGAN
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.checkpoints import load_metadata, load_state, ship
from pipeline.checkpoints.table import WEIGHTS_FOLDER
from pipeline.common.devices import Threads, check_device, use_threads
from pipeline.common.settings import Output, run_job
from pipeline.experiments.transfer_trial import LICENCE, ToyTrial
from pipeline.generators.generation_choices import FlowSteps
from pipeline.generators.networks.blocks import Upsampling
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.flow.settings import PersonFlowSettings
from pipeline.generators.recipes.ptgan import PTGANSettings
from pipeline.generators.trained import FILE_NAME
from pipeline.generators.training.loop import TrainingSettings
from pipeline.measures.detail import compare_detail
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld


class Settings(TrainingSettings):
    """Draw the toy world, train from its market-like to its duke-like domain, measure, and ship."""

    group = "world"
    advanced = False
    recipe: Literal["personflow", "ptgan"] = Field(default="personflow", description="what is trained")
    output: Output[Path] = Field(default=Path("runs/shipped_generator"), description="the world and the training")
    name: Output[str | None] = Field(default=None, description="of the shipped checkpoint; by default as it is known")
    folder: Output[Path] = Field(default=WEIGHTS_FOLDER, description="where the weights and their card are put")
    identities: int = Field(default=300, ge=4, description="of the world, half of them for training")
    images_per_camera: int = Field(default=2, ge=1, description="of the world")
    threads: Threads = None
    height: int = Field(default=128, ge=32, multiple_of=4, description="height of the crops, pixels")
    width: int = Field(default=64, ge=16, multiple_of=4, description="width of the crops, pixels")


class OfPersonFlow(PersonFlowSettings, Settings):
    """Settings, with a flow's made small enough to be shipped and to learn one thing: from place to place at once."""

    channels: int = Field(default=24, ge=8, multiple_of=8, description="of the first level: few, to be shipped")
    itself_share: float = Field(
        default=1.0, ge=0, le=1, description="1: it learns to change images, not to pose people"
    )
    backgrounds: int = Field(default=4, ge=0, le=10_000, description="of each camera: few, to be shipped")
    flow_steps: FlowSteps = Field(default=1, description="evaluations of the network an image")
    batch_size: int = Field(default=8, ge=1, description="images in a step")
    steps: int = Field(default=2500, ge=1, description="updates in all")


class OfPTGAN(PTGANSettings, Settings):
    """Settings, with PTGAN's made small enough to be shipped."""

    ngf: int = Field(default=32, ge=4, description="channels of the generator's first layer: small, to be shipped")
    blocks: int = Field(default=6, ge=1, description="residual blocks: 6 as for images of 128 x 128 in the paper")
    ndf: int = Field(default=32, ge=4, description="channels of the discriminator's first layer")
    upsampling: Upsampling = Field(default="resize", description="resize: no checkerboard")
    steps: int = Field(default=1400, ge=1, description="generator updates in all")
    average_decay: float = Field(default=0.995, ge=0, lt=1, description="moving average of the generator's weights")


def main(settings: Settings) -> int:
    """Draw, train, measure, ship."""
    check_device(settings.device)
    use_threads(settings.threads)
    world, trained = settings.output / "world", settings.output / settings.recipe
    make_toyworld(settings.part(ToyWorldSettings), world)
    trial = ToyTrial(world, settings.seed)
    model = find_recipe(settings.recipe)
    trial.run(model(settings.part(model.settings_model)), trained, settings.part(TrainingSettings))
    quality, made = trial.measure(trained)
    detail = compare_detail(made.images, trial.test["target"].images)
    figures = {**quality.as_dict(), "sharpness": detail.sharpness, "spectrum_worst": detail.worst}
    weights = trained / FILE_NAME
    shipped = ship(
        settings.name or f"{settings.recipe}_market_like_to_duke_like",
        load_state(weights),
        format="generator",
        licence=LICENCE,
        trained_on=f"toy world (seed {settings.seed}, {settings.identities} people a domain, true masks): drawn by a "
        "program, shows nobody",
        command=_command(settings),
        metrics={name: round(value, 4) for name, value in figures.items()},
        metadata=load_metadata(weights),
        folder=settings.folder,
    )
    said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{shipped.name}: {shipped.path}, {shipped.size_bytes} bytes\n{said}")
    return 0


def _command(settings: Settings) -> str:
    """The command line that makes the file again: every setting that is not its default and decides the weights."""
    places = {"output", "name", "folder", "threads"}
    changed = settings.model_dump(mode="json", exclude_defaults=True, exclude=places)
    flags = [f"--{name.replace('_', '-')} {value}" for name, value in changed.items()]
    return " ".join(["python jobs/train_shipped_generator.py", *flags])


def _asked(arguments: list[str]) -> type[Settings]:
    """The settings of the recipe that the command line names; a mistake in it is reported by the parser."""
    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    peek.add_argument("--recipe")
    known, _ = peek.parse_known_args([one for one in arguments if one not in ("-h", "--help")])
    models: dict[Any, type[Settings]] = {"ptgan": OfPTGAN}
    return models.get(known.recipe, OfPersonFlow)


if __name__ == "__main__":
    run_job(_asked(sys.argv[1:]), main)
