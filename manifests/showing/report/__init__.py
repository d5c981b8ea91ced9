"""`python -m manifests report`: what a data set is, on one page that a colleague opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import polars as pl

from manifests.describing.statements import INTENDED_USE
from manifests.format.schema import (
    ALGORITHMIC_MEDIA,
    ALGORITHMICALLY_ENHANCED,
    COMPOSITE,
    QUALITY_SCORES,
    SCHEMAS,
    TRAINED_ALGORITHMIC_MEDIA,
    Kind,
)
from manifests.format.terms import shows_nobody
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.origins import Origins, find_origins
from manifests.reading.rows import index_rows
from manifests.reading.runs import runs
from manifests.reading.summary import summarize
from manifests.showing.page import render_page, write_page
from manifests.showing.report import tables
from manifests.showing.report.browse import all_rows
from manifests.showing.report.coverage import coverages
from manifests.showing.report.samples import make_sheets
from manifests.showing.report.scores import Histogram, Score, histogram, known_scores
from manifests.showing.report.title import title

_HERE = resources.files(__name__)
_TEMPLATE = _HERE / "report.html"
_PARTS = tuple(_HERE / name for name in ("browse.html", "browse.css", "map.html", "map.css", "coverage.html"))
_SCRIPTS = (_HERE / "browse.js", _HERE / "map.js")
_INDEXED: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id", "identity", "camera", "consent_basis"),
    "annotation": ("image_id", "mask_quality"),
    "synthetic": (
        *("sample_id", "identity", "camera", "label_rule", "label_epsilon", "num_classes", "hard_label"),
        *("quality", "sources", "target", "recipe", "consent_basis", "digital_source_type"),
    ),
}
_HOW_MADE = {
    TRAINED_ALGORITHMIC_MEDIA: "trained generative models made them",
    ALGORITHMIC_MEDIA: "a program drew them",
    COMPOSITE: "they were put together from parts of images",
    ALGORITHMICALLY_ENHANCED: "they are images in other colours",
}
PICTURES = 2000
"""So many rows are shown with their pictures by default."""


def write_report(
    dataset: Dataset,
    output: str,
    *,
    source: str | None = None,
    annotations: str | None = None,
    samples: int = 9,
    pictures: int = PICTURES,
) -> str:
    """Write the report to the path or URI ``output``, with up to ``samples`` rows a contact sheet; returns its place.

    All rows are listed, up to ``pictures`` of them with their pictures.

    The data sets of sources and annotations are those that the run's record names, unless they are given.

    Raises:
        UserError: a data set that is given is not there or of another kind, or the page cannot be written.
    """
    return write_page(output, report_page(dataset, find_origins(dataset, source, annotations), samples, pictures))


def report_page(dataset: Dataset, origins: Origins, samples: int, pictures: int = PICTURES) -> str:
    """The page: the same data sets give the same text."""
    frame, names = _index(dataset, origins)
    scores = known_scores(frame, names)
    ranking = next((score for score in scores if score.better), None)
    summary, sources = summarize(dataset), _source_types(frame)
    values: dict[str, object] = {
        "summary": summary,
        "heading": title(dataset),
        "drawn": _drawn(frame),
        "sources": sources,
        "made": _how_made(sources),
        "rows": all_rows(dataset, frame, scores, origins, pictures) if frame.height else None,
        "snapshot": dataset.snapshot,
        "records": [run for run in runs(dataset) if run.settings or run.inputs or run.checkpoints],
        "intended_use": INTENDED_USE,
        "missing": origins.missing,
        "sheets": make_sheets(dataset, frame, ranking, origins, samples) if frame.height else [],
        "cards": tables.count_cards(summary.counts, summary.sizes),
        "histograms": [histogram(frame, score) for score in scores],
        "rejects": tables.rejects(dataset),
        **vars(_by_camera(frame)),
        "coverages": coverages(dataset, origins) if dataset.kind == "synthetic" else [],
        "labels": tables.label_lines(frame) if "label_rule" in frame.columns else [],
    }
    return render_page(_TEMPLATE, _PARTS, _SCRIPTS, **values)


def _drawn(frame: pl.DataFrame) -> bool:
    """Whether no row shows, or was made from images of, a real person."""
    bases = frame.get_column("consent_basis").unique().to_list() if "consent_basis" in frame.columns else []
    return bool(bases) and all(basis is not None and shows_nobody(basis) for basis in bases)


def _source_types(frame: pl.DataFrame) -> list[str]:
    """What IPTC calls the images, by the rows' own words."""
    known = "digital_source_type" in frame.columns
    return frame.get_column("digital_source_type").unique().sort().to_list() if known else []


def _how_made(source_types: Sequence[str]) -> str:
    """The same in words: the beginning of a sentence."""
    said = " or ".join(words for one, words in _HOW_MADE.items() if one in source_types)
    return said[:1].upper() + said[1:]


@dataclass(frozen=True)
class _ByCamera:
    """Who sees whom, and into whose style images went."""

    cameras: Sequence[tables.CameraLine] = ()
    seen: Sequence[tuple[int, int]] = ()
    heat: tables.Heat | None = None
    rows_each: Histogram | None = None
    pairs: tables.Heat | None = None


def _by_camera(frame: pl.DataFrame) -> _ByCamera:
    if "camera" not in frame.columns:
        return _ByCamera()
    people = frame.drop_nulls("identity").group_by("identity").len("rows")
    each = Score("rows", "Rows of an identity", f"over {people.height:,} identities", None)
    from_source = "source_camera" in frame.columns
    moved = from_source and frame.select((pl.col("source_camera") != pl.col("camera")).any()).item()
    return _ByCamera(
        cameras=tables.camera_lines(frame),
        seen=tables.cameras_by_identity(frame),
        heat=tables.heat(frame, "camera", "identity"),
        rows_each=histogram(people, each) if people.height else None,
        pairs=tables.heat(frame, "source_camera", "camera") if moved else None,
    )


def _index(dataset: Dataset, origins: Origins) -> tuple[pl.DataFrame, list[str]]:
    """A line for each row: its place, what is counted, its scores, its source's camera; and the scores' names."""
    columns = _INDEXED[dataset.kind]
    if dataset.snapshot.files:
        frame = frame_of(index_rows(dataset, columns))
    else:
        frame = frame_of(SCHEMAS[dataset.kind].empty_table().select(list(columns)))
    if dataset.kind != "synthetic":
        return frame, [name for name in ("mask_quality",) if name in columns]
    names = list(QUALITY_SCORES)
    first = pl.col("sources").list.first().struct.field("sha256").alias("image_sha256")
    frame = frame.with_columns(first).drop("sources").unnest("quality")
    cameras = [frame_of(one.read(["image_sha256", "camera"])) for one in origins.sources]
    if cameras:
        known = pl.concat(cameras).unique("image_sha256", keep="first").rename({"camera": "source_camera"})
        frame = frame.join(known, "image_sha256", "left", maintain_order="left")
    return frame, names
