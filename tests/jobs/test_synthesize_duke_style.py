"""The main job as a user runs it: real models, real Ray, kills in the middle, the same bytes at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from manifests.checking.validate import validate
from manifests.reading.dataset import open_dataset
from tests.conftest import ToySources
from tests.jobs.in_process import JOBS, run

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def annotations(local_ray: str, toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Masks and poses of the market-like domain by the shipped models, through the job."""
    uri = str(tmp_path_factory.mktemp("annotations") / "market")
    lineage = ("--lineage", f"{uri}-events")
    done = run("annotate.py", "--source", toy_sources.market, "--output", uri, "--workers", "1", *lineage)
    assert done.returncode == 0, done.stderr
    return uri


def synthesis(sources: ToySources, annotations: str, output: Path, *more: str) -> list[str]:
    inputs = ["--source", sources.market, "--target", sources.duke, "--annotations", annotations]
    cut = ["--shard-size", "3", "--batch-size", "2", "--per-image", "2"]
    return [*inputs, *cut, "--output", str(output), *more]


def digests(uri: Path) -> list[tuple[str, str]]:
    return [(entry.path, entry.sha256) for entry in open_dataset(str(uri)).snapshot.files]


@pytest.fixture(scope="module")
def finished(toy_sources: ToySources, annotations: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set by one worker, never disturbed."""
    output = tmp_path_factory.mktemp("synthesis") / "set"
    more = ("--workers", "1", "--lineage", f"{output}-events")
    done = run("synthesize_duke_style.py", *synthesis(toy_sources, annotations, output, *more))
    assert done.returncode == 0, done.stderr
    assert "import polars as pl" in done.stdout
    assert str(output) in done.stdout
    return output


def test_annotations_hold_every_image_once(toy_sources: ToySources, annotations: str) -> None:
    rows = open_dataset(annotations).scan().collect()
    assert rows["image_sha256"].n_unique() == rows.height == open_dataset(toy_sources.market).snapshot.rows
    assert rows["keypoints"].list.len().unique().to_list() == [17]
    assert rows["mask_quality"].is_between(0, 1).all()
    again = run("annotate.py", "--source", toy_sources.market, "--output", annotations)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


def test_the_data_set_is_valid_and_complete(finished: Path, toy_people: int) -> None:
    assert validate(str(finished)).faults == []
    rows = pl.scan_parquet(f"{finished}/data/*.parquet").collect()
    assert rows.height == 2 * toy_people
    quality = rows["quality"].struct.unnest()
    assert quality["foreground_change"].is_not_null().all()
    assert quality["style_shift"].mean() > 0  # the shipped generator moves towards its target
    assert (finished.parent / "set-contact-sheet.png").is_file()


def test_lineage_events_tell_of_both_jobs(finished: Path, toy_sources: ToySources, annotations: str) -> None:
    files = (f"{annotations}-events", f"{finished}-events")
    events = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    told = [(event["job"]["name"], event["eventType"]) for event in events]
    jobs = ("annotate", "synthesize")
    assert told == [(job, state) for job in jobs for state in ("START", "COMPLETE")]
    assert [one["name"] for one in events[1]["inputs"]] == [toy_sources.market]
    assert [one["name"] for one in events[3]["inputs"]] == [toy_sources.market, toy_sources.duke, annotations]
    models = [
        [one["role"] for one in event["run"]["facets"]["reidSynth_checkpoints"]["checkpoints"]] for event in events
    ]
    assert models[1] == ["segmenter", "pose"]
    assert models[3][0] == "generator"
    made = open_dataset(str(finished))
    (output,) = events[3]["outputs"]
    assert output["facets"]["version"]["datasetVersion"] == made.digest()
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == made.snapshot.rows


def test_killed_half_way_and_with_two_workers_it_gives_the_same_bytes(
    finished: Path, toy_sources: ToySources, annotations: str, tmp_path: Path, local_ray: str
) -> None:
    output = tmp_path / "set"
    arguments = synthesis(toy_sources, annotations, output)
    command = [sys.executable, str(JOBS / "synthesize_duke_style.py"), *arguments, "--workers", "1"]
    there = {**os.environ, "RAY_ADDRESS": local_ray}
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=there)
    deadline = time.monotonic() + 600
    while len(list(output.glob("_commits/*.json"))) < 2:
        assert driver.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not list(output.glob("_snapshots/*.json"))
    done = run("synthesize_duke_style.py", *arguments, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "shards done before" in done.stdout
    assert digests(output) == digests(finished)


def test_a_rerun_after_success_writes_nothing(finished: Path, toy_sources: ToySources, annotations: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    done = run("synthesize_duke_style.py", *synthesis(toy_sources, annotations, finished))
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_dry_run_prints_the_plan_and_writes_nothing(toy_sources: ToySources, annotations: str, tmp_path: Path) -> None:
    arguments = synthesis(toy_sources, annotations, tmp_path / "set", "--dry-run")
    done = run("synthesize_duke_style.py", *arguments)
    assert done.returncode == 0, done.stderr
    for word in ("samples: ", "shards: ", "estimated size: "):
        assert word in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--source", "/nowhere"), "no data set at /nowhere"),
        (("--target", "/nowhere"), "--target without --source"),
        (("--generator", "no_such_generator"), "no_such_generator"),
        (("--per-image", "0"), "--per-image"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("synthesize_duke_style.py", "--output", "set", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
    assert not list(tmp_path.iterdir())
