"""Three data sets that belong together, with scores, masks, poses, models and terms: what a report is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from manifests.format.schema import ANNOTATION_SCHEMA, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from tests.manifests.manifest_rows import sha
from tests.manifests.people_rows import people_annotations, people_source, people_synthetic, rejects, write

PEOPLE = ("0001", "0002", "0003", "0004")
IMAGES = 5
STANDING = (
    *((4, 2), (4, 1), (3, 1), (5, 2), (3, 2), (6, 4), (2, 4), (6, 7), (2, 7), (6, 9), (2, 9)),
    *((5, 9), (3, 9), (5, 12), (3, 12), (5, 15), (3, 15)),
)
"""17 joints of a person on an image of 8 x 16 pixels."""


class Family(NamedTuple):
    """A source, its annotations, and a data set made of both."""

    source: Dataset
    annotations: Dataset
    synthetic: Dataset


Edit = Callable[[int, dict[str, Any]], dict[str, Any]]


def keypoints(score: float = 0.9) -> list[dict[str, float]]:
    return [{"x": float(x), "y": float(y), "score": score} for x, y in STANDING]


def make_family(root: str, edit: Edit = lambda number, row: row, run: dict[str, Any] | None = None) -> Family:
    """20 source rows of four people and as many made of them; ``edit`` changes synthetic rows by their number."""
    rows = people_source("market", PEOPLE, IMAGES)
    source = write(f"{root}/source", "source", rows)
    found = [{**row, "keypoints": keypoints(), "mask_quality": 0.9} for row in people_annotations(rows).to_pylist()]
    annotations = write(f"{root}/annotations", "annotation", pa.Table.from_pylist(found, schema=ANNOTATION_SCHEMA))
    made = people_synthetic(rows, ClassMap.of(PEOPLE)).to_pylist()
    scored = [edit(number, {**row, "quality": {"foreground_change": number / 20}}) for number, row in enumerate(made)]
    table = pa.Table.from_pylist(scored, schema=SYNTHETIC_SCHEMA)
    record = run if run is not None else run_record(source, annotations)
    lost = rejects(*({"reason": reason, "message": "ends early"} for reason in ("corrupt", "too_dark", "corrupt")))
    synthetic = write(f"{root}/synthetic", "synthetic", table, classes=ClassMap.of(PEOPLE), rejected=lost, run=record)
    return Family(source, annotations, synthetic)


def run_record(source: Dataset, annotations: Dataset) -> dict[str, Any]:
    terms = {"id": "market", "licence": "CC BY 4.0", "consent": "asked on the spot", "role": "source"}
    models = [{"segmenter": "sam_tiny", "segmenter_sha256": sha("sam"), "pose_model": None, "pose_sha256": None}]
    return {
        "job": "synthesize",
        "settings": {"seed": 7, "label_rule": "lsr", "splits": ["train"]},
        "environment": {"device": "cpu", "libraries": {"numpy": "2.4.6", "torch": "2.15.0"}},
        "checkpoints": [{"name": "a generator", "role": "generator", "recipe": "ptgan", "sha256": sha("generator")}],
        "inputs": [{**terms, "uri": source.uri, "digest": source.digest(), "rows": source.snapshot.rows}],
        "annotations": {"uri": annotations.uri, "models": models},
    }


@pytest.fixture
def family(tmp_path: Path) -> Family:
    return make_family(str(tmp_path))


class Page(HTMLParser):
    """A page's tags in order, its pictures, its scripts, and its text by the section that it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str]] = []
        self.sections: dict[str, str] = {"": ""}
        self.scripts: list[str] = []
        self.policy = ""
        self._section = ""
        self._hidden = self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self._hidden = tag in ("style", "title", "script")
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if tag == "section":
            self._section = values["id"]
            self.sections[self._section] = ""
        if tag == "img":
            self.images.append(values)

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._in_script = False
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        if not self._hidden:
            self.sections[self._section] = " ".join(f"{self.sections[self._section]} {data}".split())

    @property
    def rows(self) -> dict[str, Any]:
        """What the script is given of the rows."""
        rows: dict[str, Any] = json.loads(self.scripts[0])
        return rows

    @property
    def text(self) -> str:
        return " ".join(self.sections.values())
