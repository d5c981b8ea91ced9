"""Makes the shipped generator again: draws the toy world, trains PTGAN market-like to duke-like, measures, ships.

python jobs/train_shipped_generator.py --output runs/shipped_generator
"""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.checkpoints import load_metadata, load_state, ship
from pipeline.checkpoints.table import WEIGHTS_FOLDER
from pipeline.common.devices import Threads, use_threads
from pipeline.common.settings import Output, run_job
from pipeline.experiments.transfer_trial import LICENCE, ToyTrial
from pipeline.generators.networks.blocks import Upsampling
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
from pipeline.generators.trained import FILE_NAME
from pipeline.generators.training.loop import TrainingSettings
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld

NAME = "ptgan_market_like_to_duke_like"


class Settings(PTGANSettings, TrainingSettings):
    """Draw the toy world, train PTGAN from its market-like to its duke-like domain, measure it, and ship it."""

    group = "world"
    advanced = False
    output: Output[Path] = Field(default=Path("runs/shipped_generator"), description="the world and the training")
    name: Output[str] = Field(default=NAME, description="name of the shipped checkpoint")
    folder: Output[Path] = Field(default=WEIGHTS_FOLDER, description="where the weights and their card are put")
    identities: int = Field(default=300, ge=4, description="of the world, half of them for training")
    images_per_camera: int = Field(default=2, ge=1, description="of the world")
    threads: Threads = None
    ngf: int = Field(default=32, ge=4, description="channels of the generator's first layer: small, to be shipped")
    blocks: int = Field(default=6, ge=1, description="residual blocks: 6 as for images of 128 x 128 in the paper")
    ndf: int = Field(default=32, ge=4, description="channels of the discriminator's first layer")
    cycle_weight: float = Field(default=10.0, ge=0, description="l_cyc")
    skip: bool = Field(default=False, description="colours and detail pass by the layers (ours)")
    upsampling: Upsampling = Field(default="resize", description="resize: no checkerboard")
    height: int = Field(default=128, ge=32, multiple_of=4, description="height of the crops, pixels")
    width: int = Field(default=64, ge=16, multiple_of=4, description="width of the crops, pixels")
    steps: int = Field(default=1400, ge=1, description="generator updates in all")
    average_decay: float = Field(default=0.995, ge=0, lt=1, description="moving average of the generator's weights")


def main(settings: Settings) -> int:
    """Draw, train, measure, ship."""
    use_threads(settings.threads)
    world = settings.output / "world"
    make_toyworld(settings.part(ToyWorldSettings), world)
    trial = ToyTrial(world, settings.seed)
    trial.run(PTGAN(settings.part(PTGANSettings)), settings.output / "ptgan", settings.part(TrainingSettings))
    quality, _ = trial.measure(settings.output / "ptgan")
    weights = settings.output / "ptgan" / FILE_NAME
    shipped = ship(
        settings.name,
        load_state(weights),
        format="generator",
        licence=LICENCE,
        trained_on=f"toy world (seed {settings.seed}, {settings.identities} people a domain, true masks): drawn by a "
        "program, shows nobody",
        command=_command(settings),
        metrics={name: round(value, 4) for name, value in quality.as_dict().items()},
        metadata=load_metadata(weights),
        folder=settings.folder,
    )
    figures = ", ".join(f"{name} {value:.3f}" for name, value in quality.as_dict().items())
    print(f"{shipped.name}: {shipped.path}, {shipped.size_bytes} bytes\n{figures}")
    return 0


def _command(settings: Settings) -> str:
    """The command line that makes the file again: every setting that is not its default and decides the weights."""
    places = {"output", "name", "folder", "threads"}
    changed = settings.model_dump(mode="json", exclude_defaults=True, exclude=places)
    flags = [f"--{name.replace('_', '-')} {value}" for name, value in changed.items()]
    return " ".join(["python jobs/train_shipped_generator.py", *flags])


if __name__ == "__main__":
    run_job(Settings, main)
