"""The wheel holds all that the packages need: installed by itself, what reads a data file does so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from manifests import __version__
from manifests.reading.dataset import Dataset
from tests.manifests.people_rows import people_source, write

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("manifests", "pipeline", "reid_synth", "jobs")
COMPARISON = """
from pathlib import Path
from pipeline.experiments.comparison.page import write_comparison
from pipeline.experiments.comparison.systems import SYSTEMS
print(write_comparison(Path("."), [SYSTEMS["ptgan"]], "Drawn people."))
"""
BENCHMARK = """
from pathlib import Path
from pipeline.experiments.benchmark.gaps import DOMAINS
from pipeline.experiments.benchmark.page import write_results
from pipeline.experiments.benchmark.records import NORMS, ArmRecord, Measurement
from pipeline.experiments.benchmark.results import FIGURES
from pipeline.experiments.benchmark.settings import Bench, BenchmarkSettings, Storage
figures = {**dict.fromkeys(FIGURES, 0.5), "queries": 1.0}
measured = [Measurement(part, norm, figures, [1], [1], [0.5]) for part in ("validation", "test") for norm in NORMS]
record = ArmRecord(DOMAINS.name, "baseline", 0, 0, None, {"arm": {"recipe": None}}, measured, {"real": 9})
benches = [Bench(BenchmarkSettings(), Storage(Path("."), Path(".")), 0, DOMAINS)]
print(write_results(Path("."), [record], [record], benches, "One world.").paths[-1])
"""
CHECKPOINTS = """
from pipeline.annotation.masks import load_segmenter
from pipeline.annotation.poses import load_pose_estimator
from pipeline.checkpoints import CHECKPOINTS
from pipeline.generators.trained import load_generator
load = {"segment-anything": load_segmenter, "mmpose": load_pose_estimator, "generator": load_generator}
for name, checkpoint in sorted(CHECKPOINTS.items()):
    if checkpoint.path:
        load[checkpoint.format](name)
        print(name)
"""
JOB = """
import sys
from reid_synth.__main__ import main
world = "--identities 2 --images-per-camera 1 --distractors 0 --junk 0 --domains market-like --workers 1 --output world"
sys.argv = ["reid-synth", "make", "toyworld", *world.split()]
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of this tree, so that no build lies about in it."""
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    _uv("build", "--wheel", "--no-build-isolation", "--out-dir", str(built), str(copy))
    (made,) = built.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    _uv("pip", "install", "--no-deps", "--target", str(folder), str(wheel))
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(
        str(tmp_path_factory.mktemp("data") / "source"), "source", people_source("market", ("0001", "0002"), 2)
    )


def _uv(*arguments: str) -> None:
    options = ("--quiet", "--offline", "--no-cache", "--python", sys.executable)
    subprocess.run([sys.executable, "-m", "uv", *arguments, *options], check=True)


def run(installed: Path, folder: Path, *arguments: str) -> str:
    """What Python prints in ``folder`` with the installed packages in front and the checkout on no path of its own."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_file_of_the_packages_is_in_it_and_no_folder_beside_them(wheel: Path) -> None:
    files = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()]
    ours = [path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"]
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"reid_synth/{name}" if name.startswith("jobs/") else name for name in ours} - names == set()
    assert {name.split("/")[0] for name in names} == {
        *("manifests", "pipeline", "reid_synth"),
        f"reid_synth-{__version__}.dist-info",
    }


def test_the_installed_packages_are_those_that_run(installed: Path, tmp_path: Path) -> None:
    found = run(installed, tmp_path, "-c", "import manifests, pipeline; print(manifests.__file__, pipeline.__file__)")
    assert found.split() == [str(installed / name / "__init__.py") for name in ("manifests", "pipeline")]


def test_the_command_looks_at_a_data_set(installed: Path, tmp_path: Path, dataset: Dataset) -> None:
    run(installed, tmp_path, str(installed / "bin/reid-synth"), "report", dataset.uri, "--output", "report.html")
    assert "<style>" in (tmp_path / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def said(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the programs that need a data file print, in one process: each would import torch for itself."""
    from pipeline.experiments.comparison.trial import PICTURE, RECORD

    folder = tmp_path_factory.mktemp("pages")
    (folder / "ptgan").mkdir()
    record = {"identity": {"steps": 10}, "figures": {"fid": 2.9}, "lines": [], "training_seconds": 3.4}
    (folder / "ptgan" / RECORD).write_text(json.dumps(record))
    (folder / "ptgan" / PICTURE).write_bytes(b"")
    lines = run(installed, folder, "-c", COMPARISON + BENCHMARK + CHECKPOINTS + JOB).splitlines()
    return [*(str(folder / page) for page in lines[:2]), *lines[2:]]


def test_the_pages_of_comparison_and_benchmark(said: list[str]) -> None:
    assert [Path(page).name for page in said[:2]] == ["comparison.html", "benchmark.html"]
    for page in said[:2]:
        assert "<style>" in Path(page).read_text("utf-8")


def test_the_shipped_checkpoints_and_the_configuration_of_the_pose_model(said: list[str]) -> None:
    shipped = sorted(path.stem for path in (ROOT / "pipeline/checkpoints/weights").glob("*.safetensors"))
    assert said[2:-2] == shipped


def test_a_job_of_the_command(said: list[str]) -> None:
    assert said[-2].startswith("reid-synth make toyworld: ")
    assert said[-1] == "world/market-like: 6 train, 5 query, 5 gallery, 0 junk, 0 distractors"
