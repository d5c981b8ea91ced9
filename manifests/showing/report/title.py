"""What a data set is, in one line: whose images, made into what, by what."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from manifests.reading.dataset import Dataset
from manifests.reading.query import metadata

_NAMED = 3


def title(dataset: Dataset) -> str:
    """A heading for people who do not know the folder's name."""
    return _TITLES[dataset.kind](metadata(dataset))


def _of_synthetic(rows: pl.LazyFrame) -> str:
    first, target = pl.col("sources").list.first().struct, pl.col("target").struct
    facts = rows.select(
        "recipe",
        home=first.field("dataset_id"),
        camera=target.field("camera"),
        pose=target.field("pose"),
        domain=target.field("domain"),
    )
    recipes, homes, cameras, poses, domains = (
        _values(facts, name) for name in ("recipe", "home", "camera", "pose", "domain")
    )
    what = f"Images of {listed(homes)}" if homes else "People out of noise"
    if domains:
        what += f" in the style of {listed(domains)}"
    elif cameras:
        what += f" as seen by camera{'s' if len(cameras) > 1 else ''} {listed(cameras)}"
    if poses:
        what += " in other poses"
    return f"{what}, by {listed(recipes)}" if recipes else what


def _of_source(rows: pl.LazyFrame) -> str:
    return f"Images of {listed(_values(rows, 'dataset_id')) or 'nothing'}"


def _of_annotations(rows: pl.LazyFrame) -> str:
    masks, poses = (_values(rows, name) for name in ("segmenter", "pose_model"))
    found = [f"{what} by {listed(models)}" for what, models in (("masks", masks), ("poses", poses)) if models]
    return " and ".join(found).capitalize() or "Masks and poses"


_TITLES = {"synthetic": _of_synthetic, "source": _of_source, "annotation": _of_annotations}


def _values(rows: pl.LazyFrame, column: str) -> list[object]:
    return rows.select(pl.col(column).drop_nulls().unique().sort()).collect()[column].to_list()


def listed(names: Sequence[object]) -> str:
    """The first few names, and how many there are besides."""
    shown = [str(name) for name in names[:_NAMED]]
    *others, last = [*shown, f"{len(names) - _NAMED} more"] if len(names) > _NAMED else shown or [""]
    return f"{', '.join(others)} and {last}" if others else last
