"""The benchmark as a user runs it: a tiny world, killed in the middle, the same figures at the end."""

from __future__ import annotations

import os
import shutil
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import polars as pl
import pytest

from tests.jobs.in_process import run

JOB = "benchmark_recipes.py"
TINY = (
    "--seeds",
    "1",
    "--identities",
    "8",
    "--budget",
    "0.0005",
    "--reid-epochs",
    "0.5",
    "--gaps",
    "few-images",
    "--no-ray",
)
ONE = ("--arms", "gan-mprl")
"""Taught by the baseline, and so done after it."""


def run_here(folder: Path, *arguments: str) -> None:
    """The benchmark as the whole of a forked process that may be killed; it stands in ``folder``."""
    os.chdir(folder)
    run(JOB, *arguments)


def test_killed_in_the_middle_it_ends_with_the_same_figures(forkserver: ForkServerContext, tmp_path: Path) -> None:
    unbroken = run(JOB, *TINY, *ONE, "--output", tmp_path / "unbroken")
    assert unbroken.returncode == 0, unbroken.stderr
    assert "seed 0, few-images: gan-mprl: rank-1 " in unbroken.stdout
    assert "\nfew-images: Smallest gain that can be told " in unbroken.stdout
    # Drawing takes longest, and how it goes on is shown elsewhere.
    shutil.copytree(tmp_path / "unbroken" / "seed-0" / "worlds", tmp_path / "broken" / "seed-0" / "worlds")
    broken = [*TINY, *ONE, "--output", str(tmp_path / "broken")]
    driver = forkserver.Process(target=run_here, args=(tmp_path, *broken))
    driver.start()
    baseline = tmp_path / "broken" / "seed-0" / "few-images" / "arms" / "baseline" / "training-0" / "record.json"
    deadline = time.monotonic() + 600
    while not baseline.exists():
        assert driver.is_alive(), "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.kill()
    driver.join()
    assert not (tmp_path / "broken" / "benchmark.html").exists()
    written = baseline.stat().st_mtime_ns
    again = run(JOB, *broken)
    assert again.returncode == 0, again.stderr
    assert baseline.stat().st_mtime_ns == written, "what was measured is not measured again"
    tables = [pl.read_parquet(tmp_path / name / "benchmark.parquet") for name in ("broken", "unbroken")]
    assert tables[0].equals(tables[1])
    assert set(tables[0]["arm"]) == {"baseline", "gan-mprl"}
    for name in ("benchmark.md", "settings.md", "benchmark.html"):
        assert "gan-mprl" in (tmp_path / "broken" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--train-people", "8"), "--train-people 8: of --identities 8 half are there to train on"),
        ((*ONE, "--variants", "weigh_by=reliability"), "of gan-mprl: its images show nobody in particular"),
        (
            ("--gaps", "poses", "--arms", "pngan-mean", "--variants", "weigh_by=reliability"),
            "none of these arms trains on",
        ),
    ],
)
def test_what_says_nothing_is_one_line(tmp_path: Path, asked: tuple[str, ...], told: str) -> None:
    done = run(JOB, *TINY, "--output", tmp_path, *asked)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_gap_is_one_line(tmp_path: Path) -> None:
    done = run(JOB, *TINY, "--output", tmp_path, "--gaps", "night")
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: unknown gap 'night'; known: few-images, ")
    assert not list(tmp_path.iterdir())
