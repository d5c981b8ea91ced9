"""Every script in examples/ runs as its reader would run it, and does what it says."""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from types import ModuleType
from unittest import mock

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from traitlets.config import Config

from manifests import open_dataset
from manifests.reading.dataset import Dataset
from tests.manifests.exports.export_rows import synthetic_dataset
from tests.toy_inputs import ToySources

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def run(name: str, folder: Path, *arguments: object) -> str:
    """What the example prints where it is started in ``folder``; here: no second start of Python and torch."""
    command = [str(ROOT / "examples" / name), *map(str, arguments)]
    said = io.StringIO()
    with chdir(folder), mock.patch.object(sys, "argv", command), redirect_stdout(said):
        runpy.run_path(command[0], run_name="__main__")
    return said.getvalue()


def run_alone(name: str, folder: Path, *arguments: object) -> str:
    """The same as a program of its own."""
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def draw(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((16, 32), 40 + number).convert("RGB").save(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Where the examples look for it: the output of the demo, in small."""
    return synthetic_dataset(str(tmp_path / "runs/demo/dataset"))


def test_each_is_short_and_says_how_it_is_run() -> None:
    assert EXAMPLES == ["ask_dataset.py", "make_dataset.py", "own_layout.py", "own_recipe.py", "train_on_dataset.py"]
    for name in EXAMPLES:
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert f"\n    python examples/{name} --" in text
        code = [line for line in text.partition('"""\n\n')[2].splitlines() if line and "import" not in line]
        assert len(code) <= 60, name


def test_a_data_set_is_made_and_taken_up_again(tmp_path: Path) -> None:
    draw(tmp_path / "people", "anna/1_0001.jpg", "anna/2_0002.jpg", "bo/1_0003.jpg")
    said = run_alone("make_dataset.py", tmp_path)
    assert "3 source rows in 1 files: ok" in said
    assert "people: ['anna', 'bo']" in said
    before = open_dataset(str(tmp_path / "runs/people")).snapshot
    assert run("make_dataset.py", tmp_path) == said
    assert open_dataset(str(tmp_path / "runs/people")).snapshot == before


def test_an_own_layout_reads_names_and_rejects_others(tmp_path: Path) -> None:
    draw(tmp_path / "our-cameras", "lobby_anna_00031.jpg", "more/yard_anna_00032.jpg", "stairs_bo_1.jpg", "holiday.jpg")
    said = run("own_layout.py", tmp_path)
    assert "images: 3 (train 3)" in said
    assert "identities: 2; cameras: 3 (1-3)" in said
    assert "rejects: 1 (unparsable_name 1)" in said


def test_an_own_recipe_is_trained_and_used(tmp_path: Path, toy_sources: ToySources) -> None:
    inputs = ("--source", toy_sources.market, "--target", toy_sources.duke)
    said = run("own_recipe.py", tmp_path, *inputs, "--steps", 3)
    assert "pictures: runs/colours/made.png" in said
    with Image.open(tmp_path / "runs/colours/made.png") as picture:
        assert picture.size == (4 * 32, 2 * 64)
    assert (tmp_path / "runs/colours/generator.json").exists()


def test_a_network_is_trained(tmp_path: Path, dataset: Dataset) -> None:
    said = run("train_on_dataset.py", tmp_path, "--people", 3)
    assert "12 images of 3 people" in said
    assert "epoch 1: loss" in said


def test_questions_are_answered(tmp_path: Path, dataset: Dataset) -> None:
    said = run("ask_dataset.py", tmp_path)
    assert "12 synthetic rows in 2 files" in said
    assert "ptgan" in said
    assert "soft labels (12, 3), mean entropy 0.291 nats; the surest row says" in said


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """What a notebook's kernel runs cells by, in this process: no second start of Python and torch."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    yield InteractiveShell(config=config, user_module=ModuleType("notebook"))
    sys.modules.pop("notebook")


def test_the_notebook_makes_shows_filters_and_loads(
    tmp_path: Path,
    shell: InteractiveShell,
    toy_sources: ToySources,
    toy_annotations: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = {"sources/market-like": toy_sources.market, "sources/duke-like": toy_sources.duke}
    for place, uri in {**demo, "dataset-annotations": toy_annotations}.items():
        path = tmp_path / "runs/demo" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(uri)
    notebook = nbformat.read(ROOT / "examples/five_lines.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in cells), "outputs say what was so once"
    shown = []
    for cell in cells:
        done = shell.run_cell(cell.source)
        done.raise_error()
        shown.append(shell.display_formatter.format(done.result)[0])
    whole, some, batch = shown[-3:]
    data = open_dataset("runs/mine")
    assert whole["text/plain"] == repr(data) == f"<Dataset {data.uri}: {data.snapshot.rows} synthetic rows in 1 file>"
    assert whole["text/html"].count("data:image/webp;base64,") == min(24, data.snapshot.rows)
    good = data.where("quality.foreground_fidelity > 0.5")
    assert some["text/html"].count("data:image/webp;base64,") == len(good) > 4
    assert "torch.Size([4, 3, 128, 64])" in batch["text/plain"]
    capsys.readouterr()
    shell.run_cell("data.where('nothing > 1')")
    said = capsys.readouterr()
    assert (said.out + said.err).startswith("error: --where 'nothing > 1': ")
    assert "Traceback" not in said.out + said.err
