"""All rows of a data set as the page's script takes them: facts of each, and pictures of as many as were asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
from markupsafe import Markup

from manifests.common.json_text import lenient_json
from manifests.common.thumbnails import encode, open_image
from manifests.format.schema import MAP_PLACE, ROW_ID, Kind
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
    """JSON for the scripts, how many pictures were asked for, how many rows have one, and how many are on the map."""

    data: Markup
    asked: int
    pictured: int
    mapped: int


def all_rows(
    dataset: Dataset, frame: pl.DataFrame, scores: Sequence[Score], origins: Origins, pictures: int
) -> AllRows:
    """Every line of ``frame`` in its order; with pictures of up to ``pictures`` of them, spread evenly over all.

    Rows name people and pictures by their number in a list, so that each stands there once.
    """
    album = _Album()
    pictured = _pictured(dataset, frame, origins, pictures, album)
    people, person = _numbered(frame, "identity")
    recipes, recipe = _numbered(frame, "recipe")
    places = _places(frame)
    values: dict[str, object] = {
        "key": ROW_ID[dataset.kind],
        "id": frame.get_column(ROW_ID[dataset.kind]).to_list(),
        "people": people,
        "person": person,
        "recipes": recipes,
        "recipe": recipe,
        "camera": frame.get_column("camera").to_list() if "camera" in frame.columns else [None] * frame.height,
        "scores": [
            {"title": score.title, "values": [_rounded(value) for value in frame.get_column(score.name).to_list()]}
            for score in scores
        ],
        "own": _OWN[dataset.kind],
        "pictured": pictured,
        "album": album.pictures,
        "map": places,
    }
    return AllRows(safe_json(values), pictures, len(pictured), sum(place is not None for place in places))


def _numbered(frame: pl.DataFrame, column: str) -> tuple[list[str], list[int]]:
    """The names in a column, and of each row the number of its own, -1 where it has none."""
    if column not in frame.columns:
        return [], [-1] * frame.height
    names = frame.get_column(column).drop_nulls().unique().sort().to_list()
    numbers = {name: number for number, name in enumerate(names)}
    return names, [numbers.get(name, -1) for name in frame.get_column(column).to_list()]


def _places(frame: pl.DataFrame) -> list[tuple[float, float] | None]:
    """Of each row where it stands on the map, in [0, 1] from left to right and from top to bottom."""
    if not set(MAP_PLACE) <= set(frame.columns):
        return [None] * frame.height
    known = (map(_rounded, pair) for pair in frame.select(MAP_PLACE).iter_rows())
    return [None if x is None or y is None else (x, y) for x, y in known]


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
