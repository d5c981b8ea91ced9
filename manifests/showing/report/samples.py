"""Contact sheets: the best, the worst and random rows, each with what it was made from beside it.

Only the rows that are shown are read with their pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from PIL import Image

from manifests.common.thumbnails import encode, open_image
from manifests.format.schema import Kind
from manifests.reading.dataset import Dataset
from manifests.reading.origins import Origins, find_images
from manifests.reading.rows import fetch_rows
from manifests.showing.page import figure
from manifests.showing.report.pictures import Keypoints, Limb, cut_out, limbs
from manifests.showing.report.scores import Score
from manifests.showing.report.targets import Target, TargetImages

_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id", "image_sha256", "image", "identity", "camera", "role"),
    "annotation": ("image_id", "image_sha256", "width", "height", "mask", "keypoints"),
    "synthetic": (
        *("sample_id", "image", "width", "height", "identity", "camera"),
        *("sources", "draw", "target", "mask", "keypoints"),
    ),
}
_ORDER = ("source", "mask", "pose", "asked pose", "generated", "target")


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
    rows = [_Row.of(values) for values in fetch_rows(dataset, places, _COLUMNS[dataset.kind]).to_pylist()]
    known = _Known.of(rows, dataset, origins)
    cameras, values = _column(chosen, "source_camera"), _column(chosen, score.name if score else "")
    samples = [
        _sample(dataset.kind, row, _facts(row, camera, value, score), known)
        for row, camera, value in zip(rows, cameras, values, strict=True)
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
class _Found:
    """Mask and pose that were found on an image of ``frame`` (width, height)."""

    frame: tuple[int, int]
    mask: bytes | None
    keypoints: Keypoints | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Found:
        return cls((values["width"], values["height"]), values["mask"], values["keypoints"])


@dataclass(frozen=True)
class _Row:
    """What is shown of a row of any kind; None for what its kind does not have."""

    name: str
    source: str | None
    """Digest of the image that it shows, annotates or was made from."""
    image: bytes | None
    identity: str | None
    camera: int | None
    role: str | None
    """Of a source image, where it shows other than a person."""
    found: _Found | None
    draw: int
    asks_pose: bool
    target: Target

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Row:
        role = values.get("role")
        return cls(
            name=str(values["sample_id"] if "sample_id" in values else values["image_id"]),
            source=source_digest(values),
            image=_bytes(values),
            identity=values.get("identity"),
            camera=values.get("camera"),
            role=role if role != "person" else None,
            found=_Found.of(values) if "mask" in values else None,
            draw=values.get("draw", 0),
            asks_pose=(values.get("target") or {}).get("pose") is not None,
            target=Target.of(values.get("target")),
        )


def source_digest(values: Mapping[str, Any]) -> str | None:
    """The image that a row shows, annotates or was made from."""
    if "sources" not in values:
        return str(values["image_sha256"])
    return next((str(source["sha256"]) for source in values["sources"] if source["role"] == "content"), None)


def _bytes(values: Mapping[str, Any]) -> bytes | None:
    return (values.get("image") or {}).get("bytes")


@dataclass(frozen=True)
class _Known:
    """The pictures of the sources and what was found on them, by image digest."""

    images: Mapping[str, bytes | None]
    found: Mapping[str, _Found]
    targets: TargetImages

    @classmethod
    def of(cls, rows: Sequence[_Row], dataset: Dataset, origins: Origins) -> _Known:
        digests = {row.source for row in rows if row.source}
        sources = () if dataset.kind == "source" else origins.sources
        annotations = () if dataset.kind == "annotation" else origins.annotations
        images = find_images(sources, digests, ["image"])
        found = find_images(annotations, digests, ["width", "height", "mask", "keypoints"])
        return cls(
            {digest: _bytes(values) for digest, values in images.items()},
            {digest: _Found.of(values) for digest, values in found.items()},
            TargetImages(origins, [row.target for row in rows]),
        )


def _column(frame: pl.DataFrame, name: str) -> list[Any]:
    return frame.get_column(name).to_list() if name in frame.columns else [None] * frame.height


def _sample(kind: Kind, row: _Row, facts: list[str], known: _Known) -> Sample:
    digest = row.source or ""
    original = open_image(known.images.get(digest, row.image if kind == "source" else None))
    found = known.found.get(digest, row.found if kind == "annotation" else None)
    who = f"identity {row.identity}" if row.identity else "nobody in particular"
    cells = [Cell("source", f"Source image, {who}", encode(original))] if original else []
    if kind == "synthetic":
        cells += _made(row, original, found, who)
        aim = open_image(known.targets.images.get(known.targets.digest(row.target, row.name) or ""))
        cells += [Cell("target", f"An image of the target, {row.target.named()}", encode(aim))] if aim else []
    elif found:
        cells += _annotated(found, original)
    return Sample(row.name, row.identity, facts, cells)


def _facts(row: _Row, source_camera: int | None, value: float | None, score: Score | None) -> list[str]:
    scored = f"{score.title} {figure(value)}" if score and value is not None else None
    return [fact for fact in (_cameras(source_camera, row), scored, row.role) if fact]


def _cameras(before: int | None, row: _Row) -> str | None:
    if row.camera is None:
        return None
    return f"camera {before} → {row.camera}" if before is not None and before != row.camera else f"camera {row.camera}"


def _made(row: _Row, original: Image.Image | None, on_source: _Found | None, who: str) -> list[Cell]:
    """Mask, pose and image of a synthetic row.

    Mask and joints of a row belong to the generated image's frame. The whole source shares it only in draw 0 and
    where no other pose was asked for; what annotations say of the source itself goes before.
    """
    made = open_image(row.image)
    base = original if original and row.draw == 0 and not row.asks_pose else made
    cells = []
    if on_source:
        cells += _annotated(replace(on_source, keypoints=None) if row.asks_pose else on_source, original)
    own = row.found
    if own and row.asks_pose:
        pose = limbs(own.keypoints)
        cells += [Cell("asked pose", "The pose that was asked for", None, pose, own.frame)] if pose else []
        own = replace(own, keypoints=None)
    if own:
        have = {cell.label for cell in cells}
        mask, keypoints = None if "mask" in have else own.mask, None if "pose" in have else own.keypoints
        cells += _annotated(_Found(own.frame, mask, keypoints), base)
    cells.sort(key=lambda cell: _ORDER.index(cell.label))
    return [*cells, *([Cell("generated", f"Generated image, {who}", encode(made))] if made else [])]


def _annotated(found: _Found, image: Image.Image | None) -> list[Cell]:
    """A mask and a pose over the image that they belong to; alone where it is not at hand."""
    cells = []
    mask = open_image(found.mask)
    if mask:
        shown = cut_out(image, mask) if image else mask
        cells.append(Cell("mask", "The person's mask", encode(shown)))
    pose = limbs(found.keypoints)
    if pose:
        under = encode(image) if image else None
        cells.append(Cell("pose", f"The pose found: {len(pose)} limbs", under, pose, found.frame))
    return cells
