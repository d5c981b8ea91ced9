"""The benchmark's data: a toy world for each seed, and of it the few images that a gap leaves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from manifests.reading.dataset import Dataset
from pipeline.common.digests import content_seed
from pipeline.common.environment import environment
from pipeline.experiments.benchmark.gaps import ImageSet, Part
from pipeline.experiments.benchmark.settings import BenchmarkSettings, Storage, set_uri, world_folder
from pipeline.sources.files import SourceFile, Split
from pipeline.sources.ingest import ingest, make_plan
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.reading import Provenance
from pipeline.sources.toyworld import DomainName, make_toyworld
from pipeline.training.randomness import random_generator

MEASURED: tuple[Part, ...] = ("validation", "test")


def draw_world(settings: BenchmarkSettings, storage: Storage, seed: int, domain: DomainName) -> None:
    """A domain of the world of ``seed``, in one process; drawn once."""
    make_toyworld(settings.toy_world(seed, domain), world_folder(storage, seed, domain), workers=1)


def provenance(seed: int, domain: DomainName) -> Provenance:
    """What the rows of a world's domain say of where they came from."""
    layout = get_layout("toyworld")
    return Provenance(f"toyworld-{seed}-{domain}", domain, layout.licence, layout.consent_basis)


def prepare_set(storage: Storage, seed: int, images: ImageSet) -> Dataset:
    """The source manifest of these images of the world."""
    root, origin = world_folder(storage, seed, images.domain) / images.domain, provenance(seed, images.domain)
    splits: list[Split] = ["train"] if images.part == "train" else ["query", "gallery"]
    plan = make_plan(root, get_layout("toyworld"), origin, splits=splits, choose=partial(choose, images, seed))
    record = {
        "job": "prepare_source",
        "settings": {"layout": "toyworld", "domain": images.domain, "part": images.name, "seed": seed},
        "inputs": [{"id": origin.dataset_id, "licence": origin.licence, "consent": origin.consent_basis}],
        "environment": environment(),
    }
    return ingest(root, plan, origin, set_uri(storage, seed, images), record, threads=1)


def choose(images: ImageSet, seed: int, files: Sequence[SourceFile]) -> list[SourceFile]:
    """Those of a domain's files that are in the set; which people and which of their images follows from the seed."""
    kept = [file for file in files if images.cameras is None or file.camera in images.cameras]
    if images.part == "train":
        return _few_images(images, seed, _few_people(images, seed, kept))
    return [file for file in kept if file.identity is None or _part_of(file.identity) == images.part]


def _part_of(identity: str) -> Part:
    # Test people have even numbers in the world.
    return MEASURED[int(identity) // 2 % 2]


def _few_people(images: ImageSet, seed: int, files: list[SourceFile]) -> list[SourceFile]:
    people = sorted({file.identity for file in files if file.identity is not None})
    if images.people is None or images.people >= len(people):
        return files
    order = random_generator(content_seed("benchmark people", seed)).permutation(len(people))
    chosen = {people[index] for index in order[: images.people]}
    return [file for file in files if file.identity in chosen]


def _few_images(images: ImageSet, seed: int, files: list[SourceFile]) -> list[SourceFile]:
    if images.images is None:
        return files
    rank = {file.relative_path: content_seed("benchmark images", seed, file.relative_path) for file in files}
    kept: dict[str | None, int] = {}
    chosen = set()
    for file in sorted(files, key=lambda file: rank[file.relative_path]):
        kept[file.identity] = kept.get(file.identity, 0) + 1
        if kept[file.identity] <= images.images:
            chosen.add(file.relative_path)
    return [file for file in files if file.relative_path in chosen]
