"""Does the synthetic data help? Baseline and every recipe: train generator, synthesize, train ReID, measure.

python jobs/benchmark_recipes.py --world toy --seeds 5 --output runs/benchmark
python jobs/benchmark_recipes.py --gaps domains --arms ptgan --seeds 3 --trainings 2
python jobs/benchmark_recipes.py --gaps two-cameras --arms camstyle --variants synthetic_weight=1,synthetic_norm=apart
python jobs/benchmark_recipes.py --gaps domains --seeds 1 --budget 0.2

A stopped benchmark is taken up again by the same command; with more seeds, trainings or arms only what is new is done.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from manifests.errors import UserError
from pipeline.cluster.benchmark.nodes import benchmark_nodes, benchmark_records, make_benches
from pipeline.cluster.graph import run_graph
from pipeline.cluster.session import check_device_of_job, ray_session
from pipeline.common.environment import environment
from pipeline.common.settings import Advanced, Cluster, Input, Output, run_job
from pipeline.experiments.benchmark.gaps import GAPS, Gap, find_gaps
from pipeline.experiments.benchmark.page import write_results
from pipeline.experiments.benchmark.records import records_below
from pipeline.experiments.benchmark.settings import BenchmarkSettings, Storage


class Settings(BenchmarkSettings):
    """Train, synthesize and measure for every gap and recipe; write benchmark.html, .md and .parquet."""

    world: Input[Literal["toy"]] = Field("toy", description="drawn for each seed: people of other sets are not in it")
    output: Output[Path] = Field(Path("runs/benchmark"), description="folder for all that is made, and for the tables")
    generators: Output[Path | None] = Field(
        None, description="folder of trained generators, which benchmarks may share; by default generators in --output"
    )
    gaps: list[str] = Field([], description=f"by default all: {', '.join(GAPS)}")
    arms: list[str] = Field([], description="only these, and what they are held against; by default all of the gaps")
    variants: list[str] = Field(
        [], description="each arm also with other settings of its mix, e.g. synthetic_weight=1 or real_from=0.3+mix="
    )
    train_people: int | None = Field(
        None,
        ge=8,
        description="at most so many people of a place are trained on, by default half of --identities; with more of "
        "those, more people are left to measure on",
    )
    seeds: int = Field(3, ge=1, description="how many seeds; each has its own world, generators and networks")
    first_seed: Advanced[int] = Field(0, ge=0, description="the first of them")
    trainings: int = Field(1, ge=1, le=100, description="ReID trainings of each arm and seed, on the same images")
    ray: Cluster[bool] = Field(True, description="--no-ray: one part after another in this process")
    ray_address: Cluster[str | None] = Field(
        None, description="a running cluster; by default the submitted job's, or local"
    )


def main(settings: Settings) -> None:
    check_device_of_job(settings.device, settings.ray_address, settings.ray)
    chosen, gaps = settings.part(BenchmarkSettings), _gaps(settings)
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    output = settings.output.resolve()  # workers may run in another folder
    storage = Storage(output, (settings.generators or output / "generators").resolve())
    for flag, folder in (("--output", output), ("--generators", storage.generators)):
        _make_folder(flag, folder)
    benches = make_benches(chosen, storage, seeds, gaps)
    nodes = benchmark_nodes(benches, settings.trainings)
    if nodes and settings.ray:
        with ray_session(settings.ray_address, device=settings.device):
            run_graph(nodes, settings.device)
    elif nodes:
        run_graph(nodes, settings.device, on_ray=False)
    records, tried = benchmark_records(benches, settings.trainings), records_below(output, chosen.deciding())
    written = write_results(output, records, tried, benches, _about(settings, seeds))
    for line in (*written.told, *written.paths):
        print(line)


def _gaps(settings: Settings) -> list[Gap]:
    """Raises UserError where nothing, or less than is asked for, would come of the settings."""
    people = settings.train_people
    if people is not None and people > settings.identities // 2:
        raise UserError(f"--train-people {people}: of --identities {settings.identities} half are there to train on")
    gaps = find_gaps(settings.gaps, settings.arms, settings.variants, people)
    if settings.variants and not any(arm.train_on == "both" for gap in gaps for arm in gap.arms):
        raise UserError("--variants are of a mix, and none of these arms trains on real and generated images")
    return gaps


def _make_folder(flag: str, folder: Path) -> None:
    """Raises UserError where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{flag} {folder} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{flag} {folder} cannot be written to")


def _about(settings: Settings, seeds: Sequence[int]) -> str:
    """Settings, date and machine in a paragraph."""
    on = environment(settings.device)
    machine = on["device"] if settings.device == "cuda" else f"{len(os.sched_getaffinity(0))} CPU cores"
    used = f", at most {settings.train_people} of them used" if settings.train_people else ""
    each = f", {settings.trainings} trainings each" if settings.trainings > 1 else ""
    return (
        f"Toy world of {settings.identities} people a domain, half of them for training{used} and a quarter "
        f"measured on; {settings.height} x {settings.width} pixels; seeds {', '.join(map(str, seeds))}{each}; "
        f"{settings.budget:.0%} of each generator's full steps; the baseline sees its real "
        f"images {settings.reid_epochs:g} times. {date.today()}, {machine}, commit {str(on['git_commit'])[:9]}."
    )


if __name__ == "__main__":
    run_job(Settings, main)
