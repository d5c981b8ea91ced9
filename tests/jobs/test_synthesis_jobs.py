"""The synthesis jobs as a user runs them, each with a tiny generator of its kind, and killed half-way."""

from __future__ import annotations

import subprocess
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import polars as pl
import pytest

from manifests.checking.validate import validate
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from pipeline.reid.model import load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.synthesis.remaking import remake
from tests.conftest import ToySources
from tests.jobs.in_process import run, run_without_ray, without_ray
from tests.pipeline.tiny_generators import save_tiny, save_tiny_pairs, standing_poses

pytestmark = pytest.mark.timeout(900)
PEOPLE, CAMERAS, POSES = "synthesize_random_people.py", "synthesize_camera_styles.py", "synthesize_canonical_poses.py"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a job writes below its own folder is seen."""
    monkeypatch.chdir(tmp_path)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert all(word in done.stderr for word in words)


def check_job(job: str, output: Path, *arguments: str) -> pl.DataFrame:
    """Dry run, run and rerun: the rows that the job wrote."""
    arguments = (*arguments, "--output", str(output), "--shard-size", "6", "--batch-size", "4")
    done = run(job, *arguments, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("samples: ", "shards: ", "estimated size: "))
    assert not output.exists()
    planned = int(done.stdout.partition("samples: ")[2].split()[0])
    with without_ray():
        done = run(job, *arguments, "--workers", "1")
        assert done.returncode == 0, done.stderr
        assert f"{planned} images written, 0 rejected of {planned} planned" in done.stdout
        assert validate(str(output)).faults == []
        dataset = open_dataset(str(output))
        again = remake(dataset, dataset.read(["sample_id"]).column(0).to_pylist()[-3:])
        assert {one.outcome for one in again} == {"identical"}
        assert output.with_name(f"{output.name}-contact-sheet.png").is_file()
        done = run(job, *arguments)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    return dataset.scan().collect()


@pytest.mark.parametrize("recipe", ["gan_lsro", "cgan"])
def test_random_people(recipe: str, toy_sources: ToySources, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", recipe, **({"cameras": [1, 2]} if recipe == "cgan" else {}))
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--images", "14")
    rows = check_job(PEOPLE, tmp_path / "set", *named)
    assert rows.height == 14
    assert rows["recipe"].unique().to_list() == [recipe]
    assert rows["label_rule"].unique().to_list() == ["lsro"]


def test_random_people_labelled_by_a_teacher(toy_sources: ToySources, tmp_path: Path) -> None:
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
    done = run(PEOPLE, *named[:-2], "--dry-run")
    assert done.returncode == 0, done.stderr
    people = int(done.stdout.partition(" identities")[0].rpartition(" ")[2])
    assert_one_line(run(PEOPLE, *named, "--dry-run"), "--teacher")
    classes = open_dataset(toy_sources.market).scan().filter(pl.col("split") == "train", pl.col("role") == "person")
    known = ClassMap.of(classes.select("identity").collect()["identity"].to_list())
    assert len(known) == people
    save_reid(tmp_path / "reid.safetensors", build_network(NetworkSettings(channels=4), people), 64, 32, known)
    teacher = str(tmp_path / "reid.safetensors")
    rows = check_job(PEOPLE, tmp_path / "set", *named, "--teacher", teacher)
    assert rows["label_rule"].unique().to_list() == ["mprl"]
    assert rows["soft_label"].list.len().unique().to_list() == [people]
    models = open_dataset(str(tmp_path / "set")).run["run"]["checkpoints"]
    assert load_reid(teacher).sha256 in [model["sha256"] for model in models]


def test_camera_styles(toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    source = open_dataset(toy_sources.market).scan().filter(pl.col("split") == "train", pl.col("role") == "person")
    cameras = source.select("camera").collect()["camera"]
    pairs = save_tiny_pairs(tmp_path / "pairs", tuple(cameras.unique().sort().to_list()))
    asked = cameras.unique().sort()[:2].to_list()
    named = ("--source", toy_sources.market, "--generator", pairs, "--annotations", toy_annotations)
    rows = check_job(CAMERAS, tmp_path / "set", *named, "--cameras", ",".join(map(str, asked)))
    assert rows.height == sum((cameras != camera).sum() for camera in asked)
    assert sorted(rows["camera"].unique().to_list()) == asked
    assert rows["quality"].struct.field("foreground_change").is_not_null().all()


@pytest.mark.parametrize("recipe", ["pngan", "pix2pix"])
def test_poses(recipe: str, toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", recipe, **({"canonical_poses": standing_poses()} if recipe == "pngan" else {}))
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--annotations", toy_annotations)
    rows = check_job(POSES, tmp_path / "set", *named, "--limit", "2", "--no-score-pose")
    assert rows.height == (16 if recipe == "pngan" else 2)
    assert rows["label_rule"].unique().to_list() == ["lsr" if recipe == "pngan" else "lsro"]


def killed_and_taken_up_again(forkserver: ForkServerContext, job: str, output: Path, *arguments: str) -> None:
    """Kill the job between its first and last shard: the same command must end with an unbroken run's bytes."""
    arguments = (*arguments, "--shard-size", "8", "--batch-size", "4", "--workers", "1")
    broken, whole = output / "broken", output / "whole"
    driver = forkserver.Process(target=run_without_ray, args=(output, job, *arguments, "--output", str(broken)))
    driver.start()
    deadline = time.monotonic() + 600
    while len(list(broken.glob("_commits/*.json"))) < 2:
        assert driver.is_alive(), "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    driver.kill()
    driver.join()
    assert not list(broken.glob("_snapshots/*.json"))
    with without_ray():
        done = run(job, *arguments, "--output", broken)
        assert done.returncode == 0, done.stderr
        assert "shards done before" in done.stdout
        done = run(job, *arguments, "--output", whole)
    assert done.returncode == 0, done.stderr
    files = [open_dataset(str(folder)).snapshot.files for folder in (broken, whole)]
    assert files[0] == files[1]


def test_random_people_after_a_kill(forkserver: ForkServerContext, toy_sources: ToySources, tmp_path: Path) -> None:
    save_tiny(tmp_path / "g", "cgan", cameras=[1, 2])
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--images", "200")
    killed_and_taken_up_again(forkserver, PEOPLE, tmp_path, *named)


def test_camera_styles_after_a_kill(
    forkserver: ForkServerContext, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    pairs = save_tiny_pairs(tmp_path / "pairs", tuple(range(1, 7)))
    named = ("--source", toy_sources.market, "--generator", pairs, "--annotations", toy_annotations)
    killed_and_taken_up_again(forkserver, CAMERAS, tmp_path, *named)


def test_poses_after_a_kill(
    forkserver: ForkServerContext, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    save_tiny(tmp_path / "g", "pngan", canonical_poses=standing_poses())
    named = ("--source", toy_sources.market, "--generator", str(tmp_path / "g"), "--annotations", toy_annotations)
    killed_and_taken_up_again(forkserver, POSES, tmp_path, *named, "--no-score-pose")


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
    job: str, recipe: str, fitting: str, toy_sources: ToySources, tmp_path: Path
) -> None:
    save_tiny(tmp_path / "g", recipe)
    done = run(job, "--source", toy_sources.market, "--generator", str(tmp_path / "g"))
    assert_one_line(done, f"is a {recipe} generator", f"run jobs/{fitting}")


@pytest.mark.parametrize(("job", "recipe"), [(PEOPLE, "gan_lsro"), (CAMERAS, "camstyle"), (POSES, "pngan")])
def test_without_a_generator_it_says_what_to_train(job: str, recipe: str, tmp_path: Path) -> None:
    assert_one_line(run(job), f"jobs/train_generator.py --recipe {recipe} ")
    assert not list(tmp_path.iterdir())
