"""A small drawn world as inputs: its source manifests, and the truth about its images as annotations."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.format.schema import ANNOTATION_SCHEMA
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun


class ToySources(NamedTuple):
    """Folder of the drawn world and the URIs of its two source manifests."""

    world: Path
    market: str
    duke: str


def make_sources(folder: Path) -> ToySources:
    """Six people in each of two domains, one image by each camera that sees them, ingested below ``folder``."""
    from pipeline.sources.ingest import ingest, make_plan
    from pipeline.sources.known_layouts import get_layout
    from pipeline.sources.reading import Provenance
    from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld

    settings = ToyWorldSettings(identities=6, seed=5, images_per_camera=1, distractors=1, junk=1)
    make_toyworld(settings, folder / "world", workers=1, progress=lambda done, total: None)
    uris = []
    for domain in ("market-like", "duke-like"):
        root = folder / "world" / domain
        provenance = Provenance(f"toy-{domain}", domain, "Apache-2.0", "drawn by a program")
        plan = make_plan(root, get_layout("toyworld"), provenance)
        uris.append(ingest(root, plan, provenance, str(folder / domain)).uri)
    return ToySources(folder / "world", *uris)


def write_annotations(sources: ToySources, uri: str) -> str:
    """The truth about every market-like image in the place of what the shipped models would find, in their names."""
    from pipeline.annotation.annotations import AnnotationSettings, model_digests

    folder = sources.world / "market-like"
    drawn = pq.read_table(folder / "ground_truth" / "annotations.parquet").to_pylist()
    truth = {hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest(): row for row in drawn}
    segmenter, pose = model_digests(AnnotationSettings())
    made = {"mask_quality": 1.0, "segmenter": "sam_tiny", "segmenter_sha256": segmenter}
    made |= {"pose_model": "pose_tiny", "pose_sha256": pose}
    rows = []
    for row in open_dataset(sources.market).read(["image_id", "image_sha256", "width", "height"]).to_pylist():
        known = truth[row["image_sha256"]]
        joints = (point.values() for point in known["keypoints"])  # x, y, and 0 to 2: outside, hidden, seen
        points = [{"x": x, "y": y, "score": min(seen, 1)} for x, y, seen in joints]
        rows.append({**row, **made, "mask": known["mask"], "keypoints": points})
    run = DatasetRun.start(uri, "annotation", "truth", {0: len(rows)})
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA))
    run.close()
    return uri
