"""What `make bench` prints: each measured ratio or cost, its target, whether it is met, and what it was the last time.

python benchmarks/table.py

Every figure comes from the benchmark that is named beside it, run here at a size that takes a minute or two. Costs of
one machine are held against targets for another, so what tells is the change since the last time on the same one; the
last results lie in ``results/table.json`` and are replaced.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field

from manifests.common.json_text import write_json
from manifests.errors import UserError
from pipeline.common.environment import environment
from pipeline.common.precision import resolve_precision
from pipeline.common.settings import JobSettings, run_job

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Figure:
    """A number of a benchmark's result: where it lies in the JSON, and what it should be at least or at most."""

    what: str
    path: tuple[str | int, ...]
    target: float
    at_least: bool = True
    unit: str = "x"
    scale: float = 1.0

    def met(self, value: float) -> bool:
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True)
class Benchmark:
    """A script beside this one, its arguments, its flag for the JSON file, and what is taken from that."""

    script: str
    arguments: tuple[str, ...]
    flag: str
    figures: tuple[Figure, ...]


class Settings(JobSettings):
    """Run every quick benchmark and print one table."""

    only: list[str] = Field([], description="scripts to run, without .py; all by default")
    results: Path = Field(HERE / "results" / "table.json", description="JSON file: read for the last time, replaced")


def benchmarks() -> tuple[Benchmark, ...]:
    """All that the table is made of; the targets of generation and training are those of the arithmetic that runs."""
    reduced = str(resolve_precision("auto", "cpu")) != "torch.float32"
    around = ("256 x 128", "microseconds_an_image", "new", "cpu")
    beside = ("256 x 128", "share_of_bound", "new", "2 cores")
    return (
        Benchmark(
            "plain_loops",
            (),
            "--results",
            (
                Figure("generation beside a plain loop", ("figures", "generation", "ratio"), 2.3 if reduced else 1.3),
                Figure("training step beside a plain one", ("figures", "training", "ratio"), 3.0 if reduced else 1.5),
            ),
        ),
        Benchmark(
            "worker_speed",
            ("--rounds", "2"),
            "--results",
            (
                Figure("CPU around the generator, an image", around, 0.75, False, "ms", 1e-3),
                Figure("of what generator and cores could do", beside, 0.9, unit=""),
            ),
        ),
        Benchmark(
            "annotation_speed",
            ("--people", "96"),
            "--output",
            (
                Figure("pose of a person, one thread", ("small", "pose_ms", "ours"), 4.0, False, "ms"),
                Figure("mask of a person, one thread", ("small", "mask_ms", "ours"), 4.0, False, "ms"),
            ),
        ),
        Benchmark(
            "plan_size",
            ("--rows", "10000000"),
            "--output",
            (Figure("plan of 10 million rows on the driver", ("plans", 0, "grown_megabytes"), 200.0, False, "MB"),),
        ),
    )


def main(settings: Settings) -> None:
    """Measure, print, replace the last results."""
    known = {one.script: one for one in benchmarks()}
    unknown = [name for name in settings.only if name not in known]
    if unknown:
        raise UserError(f"--only {unknown[0]}: no such benchmark in the table; there are {', '.join(known)}")
    last = json.loads(settings.results.read_text())["figures"] if settings.results.is_file() else {}
    figures: dict[str, dict[str, Any]] = dict(last)
    started = time.monotonic()
    print(f"{'what':<42}{'now':>12}{'target':>12}{'met':>6}{'last':>10}   by")
    for name in settings.only or known:
        for figure, value in measured(known[name]):
            before = last.get(figure.what, {}).get("value")
            print(line(figure, value, before) + f"   {name}.py", flush=True)
            figures[figure.what] = {
                "value": round(value, 3),
                "target": figure.target,
                "at_least": figure.at_least,
                "unit": figure.unit,
                "met": figure.met(value),
            }
    write_json(settings.results, {"figures": figures, "environment": environment()})
    print(f"{time.monotonic() - started:.0f} s; {settings.results}")


def measured(benchmark: Benchmark) -> Iterator[tuple[Figure, float]]:
    """Its figures, after it was run.

    Raises:
        UserError: it failed.
    """
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(HERE / f"{benchmark.script}.py"), *benchmark.arguments]
        done = subprocess.run([*command, benchmark.flag, str(result)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{benchmark.script}.py failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        found = json.loads(result.read_text())
    for figure in benchmark.figures:
        value = found
        for key in figure.path:
            value = value[key]
        yield figure, value * figure.scale


def line(figure: Figure, value: float, before: float | None) -> str:
    """A row of the table."""
    target = f"{'>=' if figure.at_least else '<='} {figure.target:g}"
    now, last = f"{value:.3g} {figure.unit}".strip(), "-" if before is None else f"{before:.3g}"
    return f"{figure.what:<42}{now:>12}{target:>12}{'yes' if figure.met(value) else 'no':>6}{last:>10}"


if __name__ == "__main__":
    run_job(Settings, main)
