"""What many tests stand on: a small drawn world, its manifests, an untrained generator, one local Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from manifests.store import open_dataset
from tests.browser import chromium

__all__ = ["chromium"]


# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class ToySources(NamedTuple):
    """Folder of the drawn world and the URIs of its two source manifests."""

    world: Path
    market: str
    duke: str


@pytest.fixture(scope="session")
def toy_sources(tmp_path_factory: pytest.TempPathFactory) -> ToySources:
    """Six people in each of two domains, one image by each camera that sees them, ingested."""
    from pipeline.sources.ingest import ingest, make_plan
    from pipeline.sources.layouts import get_layout
    from pipeline.sources.reading import Provenance
    from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld

    folder = tmp_path_factory.mktemp("toy")
    settings = ToyWorldSettings(identities=6, seed=5, images_per_camera=1, distractors=1, junk=1)
    make_toyworld(settings, folder / "world", workers=1, progress=lambda done, total: None)
    uris = []
    for domain in ("market-like", "duke-like"):
        root = folder / "world" / domain
        provenance = Provenance(f"toy-{domain}", domain, "Apache-2.0", "drawn by a program")
        plan = make_plan(root, get_layout("toyworld"), provenance)
        uris.append(ingest(root, plan, provenance, str(folder / domain)).uri)
    return ToySources(folder / "world", *uris)


@pytest.fixture(scope="session")
def untrained_generator(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PTGAN generator with its first random weights: real code, worthless pictures."""
    import torch

    from pipeline.generator import save_generator
    from pipeline.recipes.ptgan import PTGAN, PTGANSettings

    recipe = PTGAN(PTGANSettings(ngf=8, blocks=1, ndf=8))
    network = recipe.build(torch.Generator().manual_seed(0), (128, 64))["source_to_target"]
    folder = tmp_path_factory.mktemp("generator")
    save_generator(folder / "generator.safetensors", network, recipe, 128, 64)
    return str(folder)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray of two cores for all tests that need one."""
    from pipeline.cluster.session import ray_session

    with ray_session(local_cpus=2):
        yield


@pytest.fixture(scope="session")
def toy_people(toy_sources: ToySources) -> int:
    """How many labelled training images the market-like domain has."""
    frame = open_dataset(toy_sources.market).scan().select("split", "role").collect()
    return frame.filter((frame["split"] == "train") & (frame["role"] == "person")).height


@pytest.fixture(scope="session")
def toy_annotations(toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The truth about every market-like image in the place of what the shipped models would find, in their names."""
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    from manifests.schema import ANNOTATION_SCHEMA
    from manifests.store import DatasetRun
    from pipeline.annotations import AnnotationSettings, model_digests

    folder = toy_sources.world / "market-like"
    drawn = pq.read_table(folder / "ground_truth" / "annotations.parquet").to_pylist()
    truth = {hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest(): row for row in drawn}
    segmenter, pose = model_digests(AnnotationSettings())
    made = {"mask_quality": 1.0, "segmenter": "sam_tiny", "segmenter_sha256": segmenter}
    made |= {"pose_model": "pose_tiny", "pose_sha256": pose}
    rows = []
    for row in open_dataset(toy_sources.market).read(["image_id", "image_sha256", "width", "height"]).to_pylist():
        known = truth[row["image_sha256"]]
        joints = (point.values() for point in known["keypoints"])  # x, y, and 0 to 2: outside, hidden, seen
        points = [{"x": x, "y": y, "score": min(seen, 1)} for x, y, seen in joints]
        rows.append({**row, **made, "mask": known["mask"], "keypoints": points})
    uri = str(tmp_path_factory.mktemp("truth") / "annotations")
    run = DatasetRun.start(uri, "annotation", "truth", {0: len(rows)})
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA))
    run.close()
    return uri
