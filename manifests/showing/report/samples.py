"""Contact sheets: the best, the worst and random rows, each with what it was made from beside it.

Only the rows that are shown are read with their pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from PIL import Image

from manifests.format.schema import ROW_ID, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.origins import Origins, find_images
from manifests.reading.rows import fetch_rows
from manifests.showing.page import figure
from manifests.showing.report.pictures import Limb, cut_out, encode, limbs, open_image
from manifests.showing.report.scores import Score

_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id", "image_sha256", "image", "identity", "camera", "role"),
    "annotation": ("image_id", "image_sha256", "width", "height", "mask", "keypoints"),
    "synthetic": (
        *("sample_id", "image", "width", "height", "identity", "camera"),
        *("sources", "draw", "target", "mask", "keypoints"),
    ),
}
_ORDER = ("source", "mask", "pose", "asked pose", "generated")


@dataclass(frozen=True)
class Cell:
    """One picture of a strip: an image, or a pose over it, or a pose alone; ``frame`` is the pose's (width, height)."""

    label: str
    alt: str
    image: str | None = None
    limbs: list[Limb] = field(default_factory=list)
    frame: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Sample:
    """A row with its strip of pictures; ``facts`` are what one wants to know of it."""

    name: str
    identity: str | None
    facts: list[str]
    cells: list[Cell]

    def cell(self, label: str) -> Cell | None:
        """The picture of that kind, if there is one."""
        return next((cell for cell in self.cells if cell.label == label), None)


@dataclass(frozen=True)
class Sheet:
    """A heading and its samples."""

    title: str
    about: str
    samples: list[Sample]

    @property
    def labels(self) -> list[str]:
        """What the pictures of a strip are, from left to right."""
        used = {cell.label for sample in self.samples for cell in sample.cells}
        return [label for label in _ORDER if label in used]


@dataclass(frozen=True)
class _Choice:
    title: str
    about: str
    places: list[int]


def make_sheets(
    dataset: Dataset, frame: pl.DataFrame, score: Score | None, origins: Origins, count: int
) -> list[Sheet]:
    """Up to ``count`` samples a sheet; ``frame`` has a line for each row: its place, its scores, source and cameras."""
    choices = _choose(frame, score, count)
    chosen = frame[[place for choice in choices for place in choice.places]]
    places = pa.table({name: chosen.get_column(name).to_arrow() for name in ("file", "row")})
    rows = fetch_rows(dataset, places, _COLUMNS[dataset.kind]).to_pylist()
    known = _Known.of(rows, dataset, origins)
    samples = [
        _sample(dataset.kind, row, extra, score, known) for row, extra in zip(rows, chosen.to_dicts(), strict=True)
    ]
    sheets = []
    for choice in choices:
        sheets.append(Sheet(choice.title, choice.about, samples[: len(choice.places)]))
        samples = samples[len(choice.places) :]
    return sheets


def _choose(frame: pl.DataFrame, score: Score | None, count: int) -> list[_Choice]:
    """Which rows are shown, by their positions in ``frame``; chance is the same for the same number of rows."""
    drawn = np.sort(np.random.Generator(np.random.Philox(0)).permutation(frame.height)[:count]).tolist()
    random = _Choice("Random samples", "Drawn evenly from all rows.", drawn)
    if score is None or score.better is None:
        return [random] if drawn else []
    known = frame.with_row_index("place").filter(pl.col(score.name).is_finite())
    ordered = known.sort(score.name, descending=score.better == "high", maintain_order=True).get_column("place")
    few = min(count, len(ordered) // 2)
    by = f"by {score.title[0].lower()}{score.title[1:]} ({score.meaning}; {score.direction})."
    best = _Choice("Best samples", f"The first {few} {by}", ordered.head(few).to_list())
    worst = _Choice("Worst samples", f"The last {few} {by}", ordered.reverse().head(few).to_list())
    return [choice for choice in (best, worst, random) if choice.places]


@dataclass(frozen=True)
class _Known:
    """Rows of the sources and of the annotations by image digest."""

    sources: dict[str, Any]
    annotations: dict[str, Any]

    @classmethod
    def of(cls, rows: list[dict[str, Any]], dataset: Dataset, origins: Origins) -> _Known:
        digests = {digest for row in rows if (digest := _source_digest(row))}
        sources = () if dataset.kind == "source" else origins.sources
        annotations = () if dataset.kind == "annotation" else origins.annotations
        return cls(
            find_images(sources, digests, ["image"]),
            find_images(annotations, digests, ["width", "height", "mask", "keypoints"]),
        )


def _source_digest(row: Mapping[str, Any]) -> str | None:
    """Digest of the image that a row shows, annotates or was made from."""
    if "sources" not in row:
        return str(row["image_sha256"])
    return next((str(source["sha256"]) for source in row["sources"] if source["role"] == "content"), None)


def _sample(kind: Kind, row: dict[str, Any], extra: dict[str, Any], score: Score | None, known: _Known) -> Sample:
    digest = _source_digest(row) or ""
    source = known.sources.get(digest, row if kind == "source" else {})
    annotation = known.annotations.get(digest, row if kind == "annotation" else {})
    original = open_image((source.get("image") or {}).get("bytes"))
    who = f"identity {row['identity']}" if row.get("identity") else "nobody in particular"
    role = row.get("role") if row.get("role") != "person" else None
    facts = [fact for fact in (_cameras(row, extra), _scored(extra, score), role) if fact]
    cells = [Cell("source", f"Source image, {who}", encode(original))] if original else []
    if kind == "synthetic":
        cells += _made(row, original, annotation, who)
    else:
        cells += _annotated(annotation, original)
    return Sample(str(row[ROW_ID[kind]]), row.get("identity"), facts, cells)


def _cameras(row: Mapping[str, Any], extra: Mapping[str, Any]) -> str | None:
    before, after = extra.get("source_camera"), row.get("camera")
    if after is None:
        return None
    return f"camera {before} → {after}" if before is not None and before != after else f"camera {after}"


def _scored(extra: Mapping[str, Any], score: Score | None) -> str | None:
    value = extra.get(score.name) if score else None
    return f"{score.title} {figure(value)}" if score and value is not None else None


def _made(row: dict[str, Any], original: Image.Image | None, annotation: dict[str, Any], who: str) -> list[Cell]:
    """Mask, pose and image of a synthetic row.

    Mask and joints of a row belong to the generated image's frame. The whole source shares it only in draw 0 and
    where no other pose was asked for; what annotations say of the source itself goes before.
    """
    made = open_image(row["image"]["bytes"])
    asked = (row["target"] or {}).get("pose") is not None
    base = original if original and row["draw"] == 0 and not asked else made
    cells = _annotated({**annotation, "keypoints": None} if asked else annotation, original)
    have = {cell.label for cell in cells}
    own = {name: None if label in have else row[name] for name, label in (("mask", "mask"), ("keypoints", "pose"))}
    size = {"width": row["width"], "height": row["height"]}
    if asked:
        pose = limbs(own.pop("keypoints"))
        cells += [Cell("asked pose", "The pose that was asked for", None, pose, _frame(size))] if pose else []
    cells += _annotated({**own, **size}, base)
    cells.sort(key=lambda cell: _ORDER.index(cell.label))
    return [*cells, *([Cell("generated", f"Generated image, {who}", encode(made))] if made else [])]


def _annotated(annotation: Mapping[str, Any], image: Image.Image | None) -> list[Cell]:
    """A mask and a pose over the image that they belong to; alone where it is not at hand."""
    cells = []
    mask = open_image(annotation.get("mask"))
    if mask:
        shown = cut_out(image, mask) if image else mask
        cells.append(Cell("mask", "The person's mask", encode(shown)))
    pose = limbs(annotation.get("keypoints"))
    if pose:
        under = encode(image) if image else None
        cells.append(Cell("pose", f"The pose found: {len(pose)} limbs", under, pose, _frame(annotation)))
    return cells


def _frame(size: Mapping[str, Any]) -> tuple[int, int]:
    return int(size["width"]), int(size["height"])
