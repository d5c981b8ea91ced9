"""Does the synthetic data help? Baseline and every recipe: train generator, synthesize, train ReID, measure.

python jobs/benchmark_recipes.py --world toy --seeds 3 --output runs/benchmark
python jobs/benchmark_recipes.py --gaps domains --seeds 1 --budget 0.2

A stopped benchmark is taken up again by the same command.
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

from pipeline.cluster.benchmark import benchmark_nodes, benchmark_records
from pipeline.cluster.graph import run_graph
from pipeline.cluster.session import ray_session
from pipeline.common.devices import check_device
from pipeline.common.environment import environment
from pipeline.common.settings import run_job
from pipeline.experiments.benchmark.gaps import GAPS, find_gaps
from pipeline.experiments.benchmark.page import write_results
from pipeline.experiments.benchmark.settings import BenchmarkSettings


class Settings(BenchmarkSettings):
    """Train, synthesize and measure for every gap and recipe; write benchmark.html, .md and .parquet."""

    world: Literal["toy"] = Field("toy", description="drawn for each seed: people of other sets are not in it")
    output: Path = Field(Path("runs/benchmark"), description="folder for all that is made, and for the tables")
    gaps: list[str] = Field([], description=f"by default all: {', '.join(GAPS)}")
    seeds: int = Field(3, ge=1, description="how many seeds; each has its own world, generators and networks")
    first_seed: int = Field(0, ge=0, description="the first of them")
    ray: bool = Field(True, description="--no-ray: one part after another in this process")
    ray_address: str | None = Field(None, description="a running cluster; by default the submitted job's, or local")


def main(settings: Settings) -> None:
    chosen = settings.part(BenchmarkSettings)
    gaps, seeds = find_gaps(settings.gaps), range(settings.first_seed, settings.first_seed + settings.seeds)
    output = settings.output.resolve()  # workers may run in another folder
    nodes = benchmark_nodes(chosen, output, seeds, gaps)
    if settings.ray:
        with ray_session(settings.ray_address):
            run_graph(nodes, settings.device)
    else:
        check_device(settings.device)
        run_graph(nodes, settings.device, on_ray=False)
    for path in write_results(output, benchmark_records(chosen, output, seeds, gaps), gaps, _about(settings, seeds)):
        print(path)


def _about(settings: Settings, seeds: Sequence[int]) -> str:
    """Settings, date and machine in a paragraph."""
    on = environment(settings.device)
    machine = on["device"] if settings.device == "cuda" else f"{len(os.sched_getaffinity(0))} CPU cores"
    return (
        f"Toy world of {settings.identities} people a domain, half of them for training and a quarter measured on; "
        f"{settings.height} x {settings.width} pixels; seeds {', '.join(map(str, seeds))}; "
        f"{settings.budget:.0%} of each generator's full steps; each ReID network sees its real "
        f"images {settings.reid_epochs:g} times. {date.today()}, {machine}, commit {str(on['git_commit'])[:9]}."
    )


if __name__ == "__main__":
    run_job(Settings, main)
