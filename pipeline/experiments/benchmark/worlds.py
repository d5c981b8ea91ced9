"""The benchmark's data: a toy world for each seed, and of it the few images that a gap leaves.

The people who are not for training are split in two by identity: settings are chosen on ``validation``, and what is
reported comes from ``test``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from manifests.reading.dataset import Dataset
from pipeline.common.digests import content_seed
from pipeline.common.environment import environment
from pipeline.experiments.benchmark.gaps import DUKE, MARKET, Gap
from pipeline.experiments.benchmark.settings import BenchmarkSettings, gap_folder, seed_folder
from pipeline.sources.files import SourceFile, Split
from pipeline.sources.ingest import ingest, make_plan
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.reading import Provenance
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld
from pipeline.training.randomness import random_generator

Measured = Literal["validation", "test"]
MEASURED: tuple[Measured, ...] = ("validation", "test")
_DRAWN_HEIGHT = 128
"""Smaller crops are drawn at this height and scaled, as those of cameras are."""


def draw_world(settings: BenchmarkSettings, output: Path, seed: int) -> None:
    """The world of ``seed``, in one process; drawn once."""
    height = max(_DRAWN_HEIGHT, settings.height)
    world = ToyWorldSettings(
        identities=settings.identities,
        seed=seed,
        images_per_camera=settings.images_per_camera,
        height=height,
        width=height * settings.width // settings.height,
    )
    make_toyworld(world, seed_folder(output, seed) / "world", workers=1)


def prepare_sets(output: Path, seed: int, gap: Gap) -> None:
    """The gap's source manifests: ``train``, ``validation``, ``test``, and ``target`` where it has one."""
    _ingest(output, seed, gap, "train", MARKET, ["train"])
    for part in MEASURED:
        _ingest(output, seed, gap, part, gap.measured_on, ["query", "gallery"])
    if "target" in gap.needs:
        _ingest(output, seed, gap, "target", DUKE, ["train"])


def set_uri(output: Path, seed: int, gap: Gap, name: str) -> str:
    """Where one of the gap's manifests lies."""
    return str(gap_folder(output, seed, gap) / name)


def _ingest(output: Path, seed: int, gap: Gap, name: str, domain: str, splits: Sequence[Split]) -> Dataset:
    root = seed_folder(output, seed) / "world" / domain
    layout = get_layout("toyworld")
    provenance = Provenance(f"toyworld-{seed}-{domain}", domain, layout.licence, layout.consent_basis)
    plan = make_plan(root, layout, provenance, splits=splits, choose=partial(choose, gap, seed, name))
    record = {
        "job": "prepare_source",
        "settings": {"layout": "toyworld", "domain": domain, "gap": gap.name, "part": name, "seed": seed},
        "inputs": [{"id": provenance.dataset_id, "licence": layout.licence, "consent": layout.consent_basis}],
        "environment": environment(),
    }
    return ingest(root, plan, provenance, set_uri(output, seed, gap, name), record, threads=1)


def choose(gap: Gap, seed: int, name: str, files: Sequence[SourceFile]) -> list[SourceFile]:
    """What the gap leaves of the files of one of its sets (``train``, ``target``, ``validation``, ``test``).

    Which people and which of their images stay follows from the seed. The target is never cut: it needs no labels.
    """
    if name == "target":
        return list(files)
    kept = [file for file in files if gap.cameras is None or file.camera in gap.cameras]
    if name == "train":
        return _few_images(gap, seed, _few_people(gap, seed, kept))
    return [file for file in kept if file.identity is None or _part_of(file.identity) == name]


def _part_of(identity: str) -> Measured:
    # Test people have even numbers in the world.
    return MEASURED[int(identity) // 2 % 2]


def _few_people(gap: Gap, seed: int, files: list[SourceFile]) -> list[SourceFile]:
    people = sorted({file.identity for file in files if file.identity is not None})
    if gap.people is None or gap.people >= len(people):
        return files
    order = random_generator(content_seed("benchmark people", gap.name, seed)).permutation(len(people))
    chosen = {people[index] for index in order[: gap.people]}
    return [file for file in files if file.identity in chosen]


def _few_images(gap: Gap, seed: int, files: list[SourceFile]) -> list[SourceFile]:
    if gap.images is None:
        return files
    rank = {file.relative_path: content_seed("benchmark images", seed, file.relative_path) for file in files}
    kept: dict[str | None, int] = {}
    chosen = set()
    for file in sorted(files, key=lambda file: rank[file.relative_path]):
        kept[file.identity] = kept.get(file.identity, 0) + 1
        if kept[file.identity] <= gap.images:
            chosen.add(file.relative_path)
    return [file for file in files if file.relative_path in chosen]
