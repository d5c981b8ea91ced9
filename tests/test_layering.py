"""Imports run downwards only, and what is heavy is not imported before it is used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "ray", "mmpose", "mmengine", "mmcv", "segment_anything")
WITHOUT_TORCH = (
    "reid_synth.__main__",
    "manifests.commands",
    "manifests.writing.run",
    "pipeline.checkpoints",
    "pipeline.cluster.pool",
    "pipeline.annotation.poses",
    "pipeline.sources.toyworld",
)
WITH_TORCH = ("pipeline.annotation.masks", "pipeline.synthesis.worker", "pipeline.generators.training.loop")
PLANTED = {
    "manifests/format/names.py": ("from manifests.reading import dataset", "manifests.reading.dataset"),
    "manifests/disk/claims.py": ("def late():\n    from ..writing.run import DatasetRun", "manifests.writing.run"),
    "manifests/showing/page/__init__.py": ("from ..report import tables", "manifests.showing.report.tables"),
    "manifests/reading/rows.py": ("import torch.nn", "torch"),
    "manifests/writing/merge.py": ("from pipeline.common import digests", "pipeline.common.digests"),
    "pipeline/common/images.py": ("from jobs import annotate", "jobs"),
    "pipeline/sources/toyworld/mesh.py": ("from .. import files", "pipeline.sources.files"),
    "pipeline/annotation/masks.py": ("from .shipped import teachers", "pipeline.annotation.shipped.teachers"),
    "pipeline/generators/networks/dcgan.py": ("from ..losses import augmentation", "pipeline.generators.losses"),
    "pipeline/synthesis/plan.py": ("from ray import data", "ray"),
}
"""By file: an import that it may not hold, and what the complaint says is imported."""


def lint_imports(tree: Path) -> tuple[int, str]:
    """Exit status and text of `make lint`'s look at the imports of ``tree``."""
    line = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(line, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def complaint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a copy of the tree with everything planted in it, and a folder that has no place yet."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name in ("manifests", "pipeline"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert lint_imports(tree)[0] == 0
    for file, (planted, _) in PLANTED.items():
        with (tree / file).open("a", encoding="utf-8") as stream:
            stream.write(f"\n\n{planted}\n")
    (tree / "pipeline" / "cellar").mkdir()
    (tree / "pipeline" / "cellar" / "__init__.py").touch()
    status, text = lint_imports(tree)
    assert status == 1
    return text


@pytest.mark.parametrize("file", PLANTED)
def test_an_upward_import_is_named(complaint: str, file: str) -> None:
    importer = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"{importer} -> {PLANTED[file][1]}" in complaint


def test_a_folder_without_a_place_is_named(complaint: str) -> None:
    assert "- pipeline.cellar" in complaint


def test_heavy_packages_are_imported_when_they_are_used() -> None:
    code = f"""
import importlib, sys
for module in {(*WITHOUT_TORCH, *WITH_TORCH)!r}:
    importlib.import_module(module)
    print(module, *sorted(set(sys.modules) & set({HEAVY!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [*WITHOUT_TORCH, *(f"{module} torch" for module in WITH_TORCH)]
