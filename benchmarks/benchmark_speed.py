"""How long one question to the benchmark takes, here and in an older checkout: one arm against its baseline.

git worktree add ../before babb00a
python benchmarks/benchmark_speed.py --old ../before --gap domains --arm ptgan --output runs/speed

Both answer with the same worlds, generators and ReID epochs, one part after another in one process, so that CPU time
tells. Worlds and generators are made first, untimed; then what was measured is removed, and the question is asked. The
older benchmark knows whole gaps only: once the generators of all its arms are at hand, once only that of the asked arm
(a ``--budget`` of 1 is the benchmark's). Here it is asked once as the first question, once with the baseline known.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from manifests.common.json_text import write_json
from manifests.errors import UserError
from pipeline.common.settings import JobSettings, run_job

HERE = Path(__file__).resolve().parents[1]
JOB = Path("jobs/benchmark_recipes.py")


class Settings(JobSettings):
    """Time one question to the benchmark, here and in an older checkout."""

    old: Path = Field(description="an older checkout whose benchmark has no --arms")
    gap: str = Field("domains", description="the gap asked about")
    arm: str = Field("ptgan", description="the arm asked about: in both checkouts the name of a recipe")
    seeds: int = Field(3, ge=1, description="how many")
    identities: int = Field(300, ge=8, description="as in the benchmark")
    budget: float = Field(0.01, gt=0, description="as in the benchmark")
    reid_epochs: float = Field(30, gt=0, description="as in the benchmark")
    output: Path = Field(Path("runs/benchmark-speed"), description="folder for both runs and speed.json")


def main(settings: Settings) -> None:
    old = settings.old.resolve()
    if not (old / JOB).is_file() or (old / "pipeline" / "cluster" / "benchmark").is_dir():
        raise UserError(f"--old {settings.old} is no checkout from before --arms: git worktree add DIR babb00a")
    parts = {**ask_old(old, settings), **ask_new(settings)}
    ratios = {
        f"{before} / {now}": round(parts[before]["cpu_seconds"] / parts[now]["cpu_seconds"], 2)
        for before in parts
        for now in parts
        if before.startswith("old") and now.startswith("new")
    }
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores, load {os.getloadavg()[0]:.1f} at the end",
        "settings": settings.model_dump(mode="json", exclude={"old", "output"}),
        "parts": parts,
        "cpu_seconds_old_to_new": ratios,
    }
    print(write_json(settings.output / "speed.json", result))
    for name, ratio in ratios.items():
        print(f"{name}: {ratio}")


def ask_old(checkout: Path, settings: Settings) -> dict[str, dict[str, float]]:
    """The whole gap, with all its generators at hand and with one of them."""
    output = (settings.output / "old").resolve()
    prepare(checkout, settings, output)
    folders = [output / f"seed-{seed}" / settings.gap for seed in range(settings.seeds)]
    remove(folder / "arms" for folder in folders)
    found = {"old, all generators at hand": timed(checkout, settings, output)}
    remove(folder / "arms" for folder in folders)
    remove(one for folder in folders for one in (folder / "generators").iterdir() if one.name != settings.arm)
    return {**found, "old, that of the arm at hand": timed(checkout, settings, output)}


def ask_new(settings: Settings) -> dict[str, dict[str, float]]:
    """The arm, as the first question and with its baseline known."""
    output, asked = (settings.output / "new").resolve(), ("--arms", settings.arm)
    prepare(HERE, settings, output, asked)
    folders = [output / f"seed-{seed}" / settings.gap for seed in range(settings.seeds)]
    remove(folder / name for folder in folders for name in ("arms", "images"))
    found = {"new": timed(HERE, settings, output, asked)}
    remove(folder / name for folder in folders for name in (f"arms/{settings.arm}", "images"))
    return {**found, "new, baseline known": timed(HERE, settings, output, asked)}


def prepare(checkout: Path, settings: Settings, output: Path, asked: Sequence[str] = ()) -> None:
    """Worlds and generators."""
    run(checkout, settings, output, ["--reid-epochs", "0.01", *asked])


def timed(checkout: Path, settings: Settings, output: Path, asked: Sequence[str] = ()) -> dict[str, float]:
    """Seconds of the benchmark, its start among them."""
    before, started = os.times(), time.perf_counter()
    run(checkout, settings, output, ["--reid-epochs", str(settings.reid_epochs), *asked])
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return {"cpu_seconds": round(used, 1), "seconds": round(time.perf_counter() - started, 1)}


def run(checkout: Path, settings: Settings, output: Path, arguments: Sequence[str]) -> None:
    """The benchmark of a checkout.

    Raises:
        UserError: it failed.
    """
    sizes = ("--seeds", settings.seeds, "--identities", settings.identities, "--budget", settings.budget)
    command = [sys.executable, str(checkout / JOB), "--gaps", settings.gap, *map(str, sizes), "--no-ray"]
    command += ["--output", str(output), *arguments]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command)} failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")


def remove(folders: Iterable[Path]) -> None:
    """Those that are there."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run_job(Settings, main)
