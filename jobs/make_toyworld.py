"""Write a toy world: two domains of drawn people in the Market-1501 layout, with their ground truth.

python jobs/make_toyworld.py --output runs/toyworld --identities 32
"""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.common.settings import Output, Run, run_job
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld


class Settings(ToyWorldSettings):
    """Write a toy world: drawn people as surveillance crops, in the Market-1501 layout, with ground truth."""

    output: Output[Path] = Field(description="folder to write; an equal world that is there already is left alone")
    workers: Run[int | None] = Field(None, ge=1, description="processes; by default one for each CPU")


def main(settings: Settings) -> None:
    """Make the world and say where it lies."""
    world = ToyWorldSettings.model_validate(settings.model_dump(exclude={"output", "workers"}))
    record = make_toyworld(world, settings.output, workers=settings.workers)
    for domain, counts in record["counts"].items():
        listed = ", ".join(f"{count} {split}" for split, count in counts.items())
        print(f"{settings.output / domain}: {listed}")


if __name__ == "__main__":
    run_job(Settings, main)
