"""The synthesis jobs as a user runs them, each with a tiny generator of its kind, on one local Ray."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from manifests.soft_labels import ClassMap
from manifests.store import open_dataset
from manifests.validate import validate
from pipeline.reid.model import load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.remaking import remake
from tests.conftest import ToySources
from tests.pipeline.tiny_generators import save_tiny, save_tiny_pairs, standing_poses

pytestmark = pytest.mark.timeout(900)
JOBS = Path(__file__).resolve().parents[2] / "jobs"
PEOPLE, CAMERAS, POSES = "synthesize_random_people.py", "synthesize_camera_styles.py", "synthesize_canonical_poses.py"


class Runner:
    """Runs a job in this process, as its command line would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, job: str, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        self._monkeypatch.setattr(sys, "argv", [str(JOBS / job), *arguments])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(JOBS / job), run_name="__main__")
        said = self._capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out, said.err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Runner:
    monkeypatch.chdir(tmp_path)
    return Runner(monkeypatch, capsys)


def check_job(run: Runner, job: str, output: Path, *arguments: str) -> pl.DataFrame:
    """Dry run, run and rerun: the rows that the job wrote."""
    arguments = (*arguments, "--output", str(output), "--shard-size", "6", "--batch-size", "4")
    status, out, err = run(job, *arguments, "--dry-run")
    assert status == 0, err
    assert all(word in out for word in ("samples: ", "shards: ", "estimated size: "))
    assert not output.exists()
    planned = int(out.partition("samples: ")[2].split()[0])
    status, out, err = run(job, *arguments, "--workers", "1")
    assert status == 0, err
    assert f"{planned} images written, 0 rejected of {planned} planned" in out
    assert validate(str(output)).faults == []
    dataset = open_dataset(str(output))
    again = remake(dataset, dataset.read(["sample_id"]).column(0).to_pylist()[-3:])
    assert {one.outcome for one in again} == {"identical"}
    assert output.with_name(f"{output.name}-contact-sheet.png").is_file()
    status, out, err = run(job, *arguments)
    assert status == 0, err
    assert "nothing to do" in out
    return dataset.scan().collect()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("recipe", ["gan_lsro", "cgan"])
def test_random_people(recipe: str, run: Runner, toy_sources: ToySources, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", recipe, **({"cameras": [1, 2]} if recipe == "cgan" else {}))
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--images", "14")
    rows = check_job(run, PEOPLE, tmp_path / "set", *named)
    assert rows.height == 14
    assert rows["recipe"].unique().to_list() == [recipe]
    assert rows["label_rule"].unique().to_list() == ["lsro"]


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_random_people_labelled_by_a_teacher(run: Runner, toy_sources: ToySources, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", "gan_lsro")
    named = [
        "--source",
        toy_sources.market,
        "--generator",
        str(tmp_path / "g"),
        "--images",
        "8",
        "--label-rule",
        "mprl",
    ]
    status, out, _ = run(PEOPLE, *named[:-2], "--dry-run")
    people = int(out.partition(" identities")[0].rpartition(" ")[2])
    assert status == 0
    status, _, err = run(PEOPLE, *named, "--dry-run")
    assert (status, err.count("\n")) == (2, 1)
    assert "--teacher" in err
    classes = open_dataset(toy_sources.market).scan().filter(pl.col("split") == "train", pl.col("role") == "person")
    known = ClassMap.of(classes.select("identity").collect()["identity"].to_list())
    assert len(known) == people
    save_reid(tmp_path / "reid.safetensors", build_network(NetworkSettings(channels=4), people), 64, 32, known)
    teacher = str(tmp_path / "reid.safetensors")
    rows = check_job(run, PEOPLE, tmp_path / "set", *named, "--teacher", teacher)
    assert rows["label_rule"].unique().to_list() == ["mprl"]
    assert rows["soft_label"].list.len().unique().to_list() == [people]
    models = open_dataset(str(tmp_path / "set")).run["run"]["checkpoints"]
    assert load_reid(teacher).sha256 in [model["sha256"] for model in models]


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_camera_styles(run: Runner, toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    source = open_dataset(toy_sources.market).scan().filter(pl.col("split") == "train", pl.col("role") == "person")
    cameras = source.select("camera").collect()["camera"]
    pairs = save_tiny_pairs(tmp_path / "pairs", tuple(cameras.unique().sort().to_list()))
    asked = cameras.unique().sort()[:2].to_list()
    named = ("--source", toy_sources.market, "--generator", pairs, "--annotations", toy_annotations)
    rows = check_job(run, CAMERAS, tmp_path / "set", *named, "--cameras", ",".join(map(str, asked)))
    assert rows.height == sum((cameras != camera).sum() for camera in asked)
    assert sorted(rows["camera"].unique().to_list()) == asked
    assert rows["quality"].struct.field("foreground_change").is_not_null().all()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("recipe", ["pngan", "pix2pix"])
def test_poses(recipe: str, run: Runner, toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", recipe, **({"canonical_poses": standing_poses()} if recipe == "pngan" else {}))
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--annotations", toy_annotations)
    rows = check_job(run, POSES, tmp_path / "set", *named, "--limit", "2", "--no-score-pose")
    assert rows.height == (16 if recipe == "pngan" else 2)
    assert rows["label_rule"].unique().to_list() == ["lsr" if recipe == "pngan" else "one_hot"]


def killed_and_taken_up_again(job: str, output: Path, *arguments: str) -> None:
    """Kill the job between its first and last shard: the same command must end with an unbroken run's bytes."""
    command = [sys.executable, str(JOBS / job), *arguments, "--shard-size", "8", "--batch-size", "4", "--workers", "1"]
    broken, whole = output / "broken", output / "whole"
    driver = subprocess.Popen([*command, "--output", broken], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while len(list(broken.glob("_commits/*.json"))) < 2:
        assert driver.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not list(broken.glob("_snapshots/*.json"))
    for folder in (broken, whole):
        done = subprocess.run([*command, "--output", folder], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        assert ("shards done before" in done.stdout) == (folder == broken)
    files = [open_dataset(str(folder)).snapshot.files for folder in (broken, whole)]
    assert files[0] == files[1]


@pytest.mark.ray
def test_random_people_after_a_kill(toy_sources: ToySources, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", "cgan", cameras=[1, 2])
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--images", "200")
    killed_and_taken_up_again(PEOPLE, tmp_path, *named)


@pytest.mark.ray
def test_camera_styles_after_a_kill(toy_sources: ToySources, tmp_path: Path) -> None:
    pairs = save_tiny_pairs(tmp_path / "pairs", tuple(range(1, 7)))
    killed_and_taken_up_again(CAMERAS, tmp_path, "--source", toy_sources.market, "--generator", pairs)


@pytest.mark.ray
def test_poses_after_a_kill(toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", "pngan", canonical_poses=standing_poses())
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--annotations", toy_annotations)
    killed_and_taken_up_again(POSES, tmp_path, *named, "--no-score-pose")


@pytest.mark.parametrize(
    ("job", "recipe", "fitting"),
    [
        (PEOPLE, "cyclegan", "synthesize_duke_style.py"),
        (CAMERAS, "gan_lsro", PEOPLE),
        (POSES, "cyclegan", "synthesize_duke_style.py"),
        ("synthesize_duke_style.py", "gan_lsro", PEOPLE),
    ],
)
def test_a_generator_of_another_kind(
    job: str, recipe: str, fitting: str, run: Runner, toy_sources: ToySources, tmp_path: Path
) -> None:
    save_tiny(tmp_path / "g", recipe)
    status, _, err = run(job, "--source", toy_sources.market, "--generator", str(tmp_path / "g"))
    assert (status, err.count("\n")) == (2, 1)
    assert f"is a {recipe} generator" in err
    assert f"run jobs/{fitting}" in err


@pytest.mark.parametrize(("job", "recipe"), [(PEOPLE, "gan_lsro"), (CAMERAS, "camstyle"), (POSES, "pngan")])
def test_without_a_generator_it_says_what_to_train(job: str, recipe: str, run: Runner, tmp_path: Path) -> None:
    status, _, err = run(job)
    assert (status, err.count("\n")) == (2, 1)
    assert f"jobs/train_generator.py --recipe {recipe} " in err
    assert not list(tmp_path.iterdir())
