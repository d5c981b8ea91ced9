"""The data sets that are erased from: the same four people in a source, its annotations and what was made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.erasing.erase import ErasureReport, erase
from manifests.erasing.traces import Request
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from tests.manifests.manifest_rows import name, sha
from tests.manifests.people_rows import noise_rows, people_annotations, people_source, people_synthetic, rejects, write

PEOPLE = ["aardvark", "badger", "civet", "zebra"]
GONE = "badger"
CLASSES = ClassMap.of(PEOPLE)


@dataclass
class Family:
    """Source, annotations and synthetic rows of the same people; a shard for each two of them."""

    source: Dataset
    annotations: Dataset
    synthetic: Dataset

    @property
    def uris(self) -> list[str]:
        return [self.source.uri, self.annotations.uri, self.synthetic.uri]

    def again(self) -> Family:
        return Family(*(open_dataset(uri) for uri in self.uris))

    def at(self, root: str) -> Family:
        """A copy of it that lies below ``root``."""
        return Family(*(open_dataset(f"{root}/{Path(uri).name}") for uri in self.uris))


def make_family(root: str) -> Family:
    shards = [people_source("market", PEOPLE[:2], 3), people_source("market", PEOPLE[2:], 3)]
    poses = [shards[0].take([3, 4, 5, 0, 1, 2]), shards[1].take([3, 4, 5, 0, 1, 2])]
    broken = rejects(
        {"relative_path": f"train/{GONE}_9.png"},
        {"relative_path": "train/civet_9.png", "source_sha256": sha("civet")},
    )
    first = shards[0].to_pylist()[3]
    unmade = rejects(
        {"item_id": name("x"), "source_sha256": first["image_sha256"], "relative_path": first["relative_path"]}
    )
    rows = [
        people_synthetic(shards[0], CLASSES, "lsr"),
        people_synthetic(shards[1], CLASSES, "teacher"),
        people_synthetic(shards[1], CLASSES, "mprl"),
        people_synthetic(shards[0], CLASSES, "lsr", poses=poses[0]),
        people_synthetic(shards[1], CLASSES, "one_hot", poses=poses[1]),
        noise_rows(2, CLASSES),
    ]
    run = {"inputs": [{"id": "market"}], "people": {GONE: 3, "civet": 3}, "first": GONE, "all": [*PEOPLE]}
    return Family(
        write(f"{root}/source", "source", *shards, rejected=broken, run=run),
        write(f"{root}/annotations", "annotation", *map(people_annotations, shards), rejected=unmade),
        write(f"{root}/synthetic", "synthetic", *rows, classes=CLASSES, rejected=unmade, run=run),
    )


def erase_gone(family: Family, **options: Any) -> ErasureReport:
    return erase(family.uris, Request(frozenset({GONE})), **options)


def edit_json(uri: str, path: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    file = Path(uri, path)
    value = json.loads(file.read_bytes())
    edit(value)
    file.write_text(json.dumps(value))
