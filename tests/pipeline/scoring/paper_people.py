"""Drawn people in two colours, a ReID model of half of them, and a generator that mixes some of them up."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

import jobs.score_dataset as score_job
from manifests.checking.validate import validate
from manifests.format.names import content_id, subject_key
from manifests.format.schema import SOURCE_SCHEMA, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap, one_hot
from manifests.format.terms import UNSTATED
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from pipeline.common.images import encode, pixel_sha256
from pipeline.common.settings import parse_settings
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import mixed_batches
from pipeline.reid.model import save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import load_sets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings

HEIGHT, WIDTH = 32, 16
PEOPLE, IMAGES = 24, 6
HOME = "paper dolls"


def drawn(person: int, number: int) -> np.ndarray:
    """A person in two colours of their own, never in the same light twice, (32, 16, 3) uint8."""
    own, rng = np.random.default_rng(person), np.random.default_rng((person, number))
    image = np.full((HEIGHT, WIDTH, 3), 128.0)
    coat, trousers = own.integers(20, 236, (2, 3))
    left = 4 + int(rng.integers(-1, 2))
    image[4:17, left : left + 8] = coat
    image[17:30, left : left + 8] = trousers
    image = image * rng.uniform(0.85, 1.15) + rng.normal(0, 12, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def name_of(person: int) -> str:
    return f"{person:04d}"


class Laboratory:
    """Half of the people to train on, half kept apart; a model of the former; a generator that mixes people up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def source(self) -> str:
        rows = []
        for person in range(2 * PEOPLE):
            for number in range(IMAGES):
                split = "train" if person < PEOPLE else "query" if number < 2 else "gallery"
                rows.append(source_row(person, number, drawn(person, number), camera=number % 3 + 1, split=split))
        return write_source(self.folder / "source", rows)

    @cached_property
    def model(self) -> str:
        sets = load_sets([self.source], HEIGHT, WIDTH)
        network = build_network(NetworkSettings(channels=8), PEOPLE, 0)
        batches = mixed_batches(sets, 0, augmentation=AugmentationSettings(erasing=0.0))
        ReidTraining(network, batches, ReidTrainingSettings(steps=150, batch_size=16)).run()
        path = self.folder / "reid.safetensors"
        save_reid(path, network, HEIGHT, WIDTH, sets.classes)
        return str(path)

    @cached_property
    def mixed(self) -> np.ndarray:
        """Which of the generated rows show somebody else: a fifth."""
        return np.random.default_rng(0).random(PEOPLE * IMAGES) < 0.2

    @cached_property
    def generated(self) -> str:
        """Each training image in other light; a fifth of the rows show another person under the asked name."""
        source = open_dataset(self.source).read(["image_sha256", "identity", "split", "camera"]).to_pylist()
        rng, rows = np.random.default_rng(1), []
        for index, row in enumerate(one for one in source if one["split"] == "train"):
            person = int(row["identity"])
            shown = (person + int(rng.integers(1, PEOPLE))) % PEOPLE if self.mixed[index] else person
            rows.append(synthetic_row(index, row, drawn(shown, 100 + index)))
        return write_made(self.folder / "made", rows, [self.source], PEOPLE)

    @cached_property
    def scored(self) -> Dataset:
        return self.score(str(self.folder / "scored"))

    def score(self, output: str, *more: str) -> Dataset:
        arguments = [
            self.generated,
            "--model",
            self.model,
            "--output",
            output,
            "--threads",
            "1",
            "--target-steps",
            "10",
            *more,
        ]
        score_job.main(parse_settings(score_job.Settings, arguments))
        return open_dataset(output)


UNKNOWN = {"licence": UNSTATED, "consent_basis": UNSTATED}


def synthetic_row(index: int, source: dict[str, object], image: np.ndarray, **more: object) -> dict[str, object]:
    """A generated image from that source; ``more`` are columns beside or instead."""
    data, identity = encode(image, "png"), str(source["identity"])
    row = {"sample_id": f"{index:032x}", "image": {"bytes": data, "path": "a.png"}, "width": WIDTH, "height": HEIGHT}
    row |= {"image_sha256": hashlib.sha256(data).hexdigest(), "pixel_sha256": pixel_sha256(image), "identity": identity}
    row |= {"camera": source["camera"], "domain": "flat", "split": "train", "seed": 0, "draw": 0, "plan_id": "mixer"}
    row |= {"subject_keys": [subject_key(HOME, identity)], "recipe": "ptgan", "recipe_version": "1"}
    row |= {"sources": [{"sha256": source["image_sha256"], "role": "content", "dataset_id": HOME}]}
    row |= {"settings_sha256": "0" * 64, "checkpoint_sha256s": ["1" * 64], "target": {"camera": source["camera"]}}
    row |= {"quality": {"pose_error": 0.25}, "digital_source_type": "trainedAlgorithmicMedia", **UNKNOWN}
    return {**row, **more}


def source_row(person: int, number: int, image: np.ndarray, **more: object) -> dict[str, object]:
    """A real image of a person; ``more`` are columns beside or instead."""
    data = encode(image, "png")
    row = {"image_id": content_id(HOME, person, number), "image": {"bytes": data, "path": "a.png"}, "role": "person"}
    row |= {"image_sha256": hashlib.sha256(data).hexdigest(), "width": image.shape[1], "height": image.shape[0]}
    row |= {"identity": name_of(person), "domain": "flat", "relative_path": "a.png", "dataset_id": HOME}
    return {**row, "split": "train", **more}


def write_source(folder: Path, rows: list[dict[str, object]]) -> str:
    run = DatasetRun.start(str(folder), "source", folder.name, {0: len(rows)})
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA))
    run.close()
    return run.uri


def write_made(folder: Path, rows: list[dict[str, object]], sources: list[str], people: int) -> str:
    """Synthetic ``rows`` in two shards, labelled one-hot over ``people``."""
    labels = one_hot([int(str(row["identity"])) for row in rows], people)
    bare = pa.Table.from_pylist(rows, schema=pa.schema([one for one in SYNTHETIC_SCHEMA if one.name not in labels]))
    table = pa.table({**labels, **{name: bare.column(name) for name in bare.column_names}})
    footer = {ClassMap.FOOTER_KEY: ClassMap(tuple(map(name_of, range(people)))).to_json()}
    record = {"job": "mixer", "inputs": [{"role": "source", "uri": uri, "id": HOME} for uri in sources]}
    half = len(rows) // 2
    shards = {0: half, 1: len(rows) - half}
    run = DatasetRun.start(str(folder), "synthetic", "mixer", shards, footer=footer, run=record)
    run.sink.commit(0, table.slice(0, half))
    run.sink.commit(1, table.slice(half))
    run.close()
    assert validate(run.uri).faults == []
    return run.uri
