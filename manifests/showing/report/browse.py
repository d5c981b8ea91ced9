"""All rows of a data set as the page's script takes them: facts of each, and pictures of as many as were asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
from markupsafe import Markup

from manifests.common.json_text import lenient_json
from manifests.common.thumbnails import encode, open_image
from manifests.format.schema import ROW_ID, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.origins import Origins, Row, find_images
from manifests.reading.rows import fetch_rows
from manifests.reading.summary import spread_places
from manifests.showing.report.samples import source_digest
from manifests.showing.report.scores import Score
from manifests.showing.report.targets import Target, TargetImages

_BATCH = 500
"""Rows whose pictures are in memory at a time."""
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "source": ("image_sha256", "image"),
    "annotation": ("image_sha256",),
    "synthetic": ("sample_id", "image_sha256", "image", "sources", "target"),
}
_OWN: dict[Kind, str] = {"source": "image", "annotation": "source", "synthetic": "generated"}
"""What the picture is called that stands for a row among others."""


class AllRows(NamedTuple):
    """JSON for the script, how many pictures were asked for, and how many rows have one."""

    data: Markup
    asked: int
    pictured: int


def all_rows(
    dataset: Dataset, frame: pl.DataFrame, scores: Sequence[Score], origins: Origins, pictures: int
) -> AllRows:
    """Every line of ``frame`` in its order; with pictures of up to ``pictures`` of them, spread evenly over all.

    Rows name people and pictures by their number in a list, so that each stands there once.
    """
    album = _Album()
    pictured = _pictured(dataset, frame, origins, pictures, album)
    people = frame.get_column("identity") if "identity" in frame.columns else pl.Series([None] * frame.height)
    names = people.drop_nulls().unique().sort().to_list()
    places = {name: place for place, name in enumerate(names)}
    values: dict[str, object] = {
        "key": ROW_ID[dataset.kind],
        "id": frame.get_column(ROW_ID[dataset.kind]).to_list(),
        "people": names,
        "person": [places.get(name, -1) for name in people.to_list()],
        "camera": frame.get_column("camera").to_list() if "camera" in frame.columns else [None] * frame.height,
        "scores": [
            {"title": score.title, "values": [_rounded(value) for value in frame.get_column(score.name).to_list()]}
            for score in scores
        ],
        "own": _OWN[dataset.kind],
        "pictured": pictured,
        "album": album.pictures,
    }
    return AllRows(safe_json(values), pictures, len(pictured))


def safe_json(values: object) -> Markup:
    """JSON that may stand in a script element: nothing in it ends the element, or begins another."""
    text = lenient_json(values, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


class _Album:
    """Pictures as addresses that hold them, each once; a name that was there before is not made again."""

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, name: str, data: bytes | None) -> int | None:
        """The number of the picture called ``name``; None where the bytes are no picture."""
        if name not in self._places:
            small = open_image(data)
            if small is None:
                return None
            self._places[name] = len(self.pictures)
            self.pictures.append(encode(small))
        return self._places[name]


def _pictured(
    dataset: Dataset, frame: pl.DataFrame, origins: Origins, count: int, album: _Album
) -> dict[int, dict[str, int]]:
    """By line of ``frame`` the pictures that stand side by side when it is enlarged, the row's own among them."""
    places = spread_places(dataset, count)
    lines = {place: line for line, place in enumerate(frame.select("file", "row").iter_rows())}
    targets = TargetImages(origins, map(Target.of, frame["target"].unique().to_list())) if "target" in frame else None
    found: dict[int, dict[str, int]] = {}
    for start in range(0, places.num_rows, _BATCH):
        part = places.slice(start, _BATCH)
        rows = fetch_rows(dataset, part, _COLUMNS[dataset.kind]).to_pylist()
        known = find_images(origins.sources, {digest for row in rows if (digest := source_digest(row))}, ["image"])
        for row, place in zip(rows, frame_of(part).select("file", "row").iter_rows(), strict=True):
            cells = _cells(dataset.kind, row, known, targets)
            kept = {label: at for label, picture in cells.items() if (at := album.place(*picture)) is not None}
            if kept:
                found[lines[place]] = kept
    return found


def _cells(
    kind: Kind, row: Row, sources: Mapping[str, Row], targets: TargetImages | None
) -> dict[str, tuple[str, bytes | None]]:
    """The pictures of a row, each with a name that is the same wherever it stands."""
    own, source = row["image_sha256"], source_digest(row) or ""
    if kind == "source":
        return {"image": (own, _bytes(row))}
    cells = {"source": (source, _bytes(sources.get(source)))}
    if kind == "synthetic":
        cells["generated"] = (own, _bytes(row))
        target = targets.digest(Target.of(row["target"]), row["sample_id"]) if targets else None
        cells["target"] = (target or "", targets.images.get(target or "") if targets else None)
    return cells


def _bytes(row: Row | None) -> bytes | None:
    return ((row or {}).get("image") or {}).get("bytes")
