"""The job as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.common import images
from pipeline.common.settings import parse_settings
from pipeline.sources.known_layouts import LAYOUTS
from tests.jobs import in_process

JOB = Path(__file__).resolve().parents[2] / "jobs" / "prepare_source.py"


@pytest.fixture(scope="module")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_source_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic looks there for the names in the annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def duke(tmp_path: Path) -> Path:
    """A folder in DukeMTMC-reID's layout, one of its files cut short."""
    folder = tmp_path / "duke" / "bounding_box_train"
    folder.mkdir(parents=True)
    for number in range(6):
        colour = np.full((32, 16, 3), 40 * number, np.uint8)
        (folder / f"000{number % 2 + 1}_c{number + 1}_f{number:07d}.jpg").write_bytes(images.encode(colour))
    torn = folder / "0003_c8_f0000009.jpg"
    torn.write_bytes(images.encode(colour)[:-8])
    return folder.parent


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return in_process.run("prepare_source.py", *arguments)


def test_the_job_writes_a_data_set_and_says_what_is_in_it(duke: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    arguments = ["--layout", "dukemtmc", "--root", duke, "--domain", "duke", "--output", output]
    arguments += ["--dataset-id", "duke-mini", "--licence", "drawn", "--consent-basis", "no person"]
    done = run(*arguments, "--shard-size", 3, "--accept-terms")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "withdrawn by its authors in 2019" in done.stdout
    *said, reject, last = done.stdout.splitlines()[-5:]
    assert said == ["images: 6 (train 6); person 6", "identities: 2; cameras: 6 (1-6)", "rejects: 1 (corrupt 1)"]
    (row,) = open_dataset(str(output)).rejects().to_pylist()
    assert reject == f"  corrupt, the first: {row['relative_path']}: {row['message']}"
    assert last == f"source data set: {output}"
    frame = pl.scan_parquet(f"{output}/data/*.parquet").collect()
    assert frame["dataset_id"].to_list() == ["duke-mini"] * 6
    assert frame["consent_basis"].to_list() == ["no person"] * 6
    record = json.loads((output / "run.json").read_text())
    assert record["run"]["settings"]["licence"] == "drawn"
    assert record["run"]["inputs"][0]["id"] == "duke-mini"
    assert record["counts"]["reasons"] == {"corrupt": 1}


def test_a_mistake_is_one_line_and_status_2(duke: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    done = run("--layout", "market1501", "--root", duke, "--domain", "duke", "--output", output)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no market1501 layout in ")
    assert "--layout dukemtmc" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not output.exists()


def test_a_lineage_file_is_told_how_the_run_went(job: ModuleType, duke: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    arguments = ["--layout", "dukemtmc", "--root", str(duke), "--domain", "duke", "--accept-terms"]
    arguments += ["--lineage", str(file), "--output"]
    job.main(parse_settings(job.Settings, [*arguments, str(tmp_path / "set")]))
    for image in (duke / "bounding_box_train").iterdir():
        image.write_bytes(image.read_bytes()[:-8])
    with pytest.raises(UserError, match="no image in"):
        job.main(parse_settings(job.Settings, [*arguments, str(tmp_path / "torn")]))
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "START", "FAIL"]
    assert {event["inputs"][0]["name"] for event in events} == {str(duke)}
    assert [event["outputs"][0]["name"] for event in events[1:3]] == [str(tmp_path / "set"), str(tmp_path / "torn")]
    assert "no image in" in events[3]["run"]["facets"]["errorMessage"]["message"]
    record = json.loads((tmp_path / "set" / "run.json").read_text())
    assert "lineage" not in record["run"]["settings"]


def test_withdrawn_sets_need_their_terms_accepted(
    job: ModuleType, duke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--layout", "dukemtmc", "--root", str(duke), "--domain", "d", "--output", str(tmp_path / "set")]
    with pytest.raises(UserError, match="--accept-terms"):
        job.main(parse_settings(job.Settings, arguments))
    assert "note: DukeMTMC-reID was withdrawn" in capsys.readouterr().out
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--layout", "viper"], "--layout"),
        (["--layout", "market1501", "--splits", "train,test"], "--splits"),
        (["--layout", "market1501", "--shard-size", "0"], "--shard-size"),
        (["--layout", "market1501", "--domain", ""], "--domain"),
    ],
)
def test_bad_values_are_refused_by_flag(job: ModuleType, arguments: list[str], expected: str) -> None:
    given = ["--root", "r", "--domain", "d", "--output", "o", *arguments]
    with pytest.raises(UserError) as caught:
        parse_settings(job.Settings, given)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_another_layout_are_refused(job: ModuleType, duke: Path) -> None:
    given = ["--layout", "market1501", "--root", str(duke), "--domain", "d", "--output", "o"]
    for flag in ("--labels", "--variant", "--split-file", "--split-index"):
        with pytest.raises(UserError, match=f"{flag} means nothing to --layout market1501"):
            job.main(parse_settings(job.Settings, [*given, flag, "3"]))


def test_the_flag_knows_every_layout(job: ModuleType) -> None:
    for name in LAYOUTS:
        given = ["--layout", name, "--root", "r", "--domain", "d", "--output", "o", "--splits", "train,query"]
        assert parse_settings(job.Settings, given).splits == ["train", "query"]
