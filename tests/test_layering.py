"""Imports run downwards only, and what is heavy is not imported before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "ray", "mmpose", "mmengine", "mmcv", "segment_anything")
WITHOUT_TORCH = (
    "manifests.writing.run",
    "pipeline.checkpoints",
    "pipeline.annotation.poses",
    "pipeline.sources.toyworld",
)
WITH_TORCH = ("pipeline.annotation.masks", "pipeline.synthesis.worker", "pipeline.generators.training.loop")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def offenders(folder: str, forbidden: tuple[str, ...], allowed: str = "") -> list[str]:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if allowed and name.startswith(allowed):
            continue
        for module in imported(path):
            if any(module == root or module.startswith(f"{root}.") for root in forbidden):
                found.append(f"{name} imports {module}")
    return found


def test_manifests_stand_on_nothing_of_ours_and_on_no_engine() -> None:
    assert offenders("manifests", ("torch", "ray", "pipeline", "jobs", "cv2"), "manifests/exports/torch.py") == []


def test_ray_is_used_in_the_cluster_room_only() -> None:
    assert offenders("pipeline", ("ray", "jobs", "pipeline.cluster"), "pipeline/cluster/") == []


def test_heavy_packages_are_imported_when_they_are_used() -> None:
    code = f"""
import importlib, sys
for module in {(*WITHOUT_TORCH, *WITH_TORCH)!r}:
    importlib.import_module(module)
    print(module, *sorted(set(sys.modules) & set({HEAVY!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [*WITHOUT_TORCH, *(f"{module} torch" for module in WITH_TORCH)]
