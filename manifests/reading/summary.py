"""What a data set holds, in numbers: counts by column, sizes, scores. Picture bytes are never read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from manifests.format.schema import QUALITY_SCORES, SCHEMAS, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.query import RowNumbers
from manifests.reading.rows import fetch_rows, places_of

COUNTED: dict[Kind, tuple[str, ...]] = {
    "source": ("split", "role", "domain", "camera", "dataset_id", "licence", "consent_basis"),
    "annotation": ("segmenter", "pose_model"),
    "synthetic": ("split", "domain", "camera", "recipe", "label_rule", "num_classes", "licence", "consent_basis"),
}
SAMPLED: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id", "relative_path", "width", "height", "identity", "camera", "domain", "split", "role"),
    "annotation": ("image_id", "width", "height", "mask_quality", "segmenter", "pose_model"),
    "synthetic": (
        "sample_id",
        "width",
        "height",
        "identity",
        "hard_label",
        "camera",
        "domain",
        "label_rule",
        "recipe",
    ),
}


@dataclass(frozen=True)
class Spread:
    """How a score spreads over the rows that have it: its mean, extremes and quartiles."""

    rows: int
    mean: float
    p0: float
    p25: float
    p50: float
    p75: float
    p100: float


@dataclass(frozen=True)
class Summary:
    """Everything `show` prints but sample rows; its fields are those of ``show --json``."""

    uri: str
    kind: Kind
    snapshot: int
    created: str
    schema_version: str
    digest: str
    files: int
    bytes: int
    planned: int
    rows: int
    matching: int
    """The rows that were chosen; what follows the reasons is of these."""
    rejected: int
    erased: int
    reasons: Mapping[str, int]
    """Rejected rows by reason."""
    counts: Mapping[str, Mapping[str, int]]
    """By column, the rows by value."""
    identities: Mapping[str, int]
    """Rows by identity."""
    sizes: Mapping[str, int]
    """Rows by ``WIDTHxHEIGHT``."""
    scores: Mapping[str, Spread]
    """Of each score that some row has."""


def summarize(dataset: Dataset, chosen: RowNumbers | None = None) -> Summary:
    """What the data set holds; of the ``chosen`` rows, if given."""
    snapshot = dataset.snapshot
    table = _small_columns(dataset)
    if chosen is not None:
        table = table[chosen]
    counted = (*COUNTED[dataset.kind], "target_camera", "target_domain")
    return Summary(
        uri=dataset.uri,
        kind=dataset.kind,
        snapshot=snapshot.number,
        created=snapshot.created,
        schema_version=snapshot.schema_version,
        digest=dataset.digest(),
        files=len(snapshot.files),
        bytes=sum(entry.bytes for entry in snapshot.files),
        planned=snapshot.planned,
        rows=snapshot.rows,
        matching=table.height,
        rejected=snapshot.rejected,
        erased=snapshot.erased,
        reasons=snapshot.reasons,
        counts={name: _counts(table, name) for name in counted if name in table.columns},
        identities=_identities(table),
        sizes=_counts(table.select(size=pl.format("{}x{}", "width", "height")), "size"),
        scores={name: spread for name in _scores(dataset.kind) if (spread := _spread(table, name))},
    )


def sample_rows(dataset: Dataset, rows: int, chosen: RowNumbers | None = None) -> pl.DataFrame:
    """Up to ``rows`` rows, evenly spread, with the columns that people look at first."""
    return frame_of(fetch_rows(dataset, spread_places(dataset, rows, chosen), SAMPLED[dataset.kind]))


def spread_places(dataset: Dataset, rows: int, chosen: RowNumbers | None = None) -> pa.Table:
    """Up to ``rows`` rows, evenly spread over all or the ``chosen`` ones, as the places that `fetch_rows` takes."""
    among = np.arange(dataset.snapshot.rows) if chosen is None else chosen
    count = min(rows, len(among))
    wanted = among[np.arange(count) * len(among) // max(count, 1)]
    return places_of(dataset, wanted)


def _small_columns(dataset: Dataset) -> pl.DataFrame:
    extra = {"source": (), "annotation": ("mask_quality",), "synthetic": ("quality", "target")}[dataset.kind]
    known = SCHEMAS[dataset.kind].names
    wanted = (*COUNTED[dataset.kind], "identity", "width", "height", *extra)
    frame = frame_of(dataset.read([name for name in wanted if name in known]))
    if dataset.kind != "synthetic":
        return frame
    target = [pl.col("target").struct.field(name).alias(f"target_{name}") for name in ("camera", "domain")]
    scores = [pl.col("quality").struct.field(name) for name in QUALITY_SCORES]
    return frame.with_columns(*target, *scores)


def _scores(kind: Kind) -> tuple[str, ...]:
    return {"source": (), "annotation": ("mask_quality",), "synthetic": QUALITY_SCORES}[kind]


def _counts(table: pl.DataFrame, name: str) -> dict[str, int]:
    """Rows by value, in the order of the values; ``null`` stands for the missing one."""
    counted = table.group_by(name).len().sort(name, nulls_last=True)
    return {"null" if value is None else str(value): rows for value, rows in counted.iter_rows()}


def _identities(table: pl.DataFrame) -> dict[str, int]:
    return _counts(table.drop_nulls("identity"), "identity") if "identity" in table.columns else {}


def _spread(table: pl.DataFrame, name: str) -> Spread | None:
    values = table.get_column(name).drop_nulls().drop_nans()
    if values.is_empty():
        return None
    quantiles = (values.quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Spread(len(values), values.mean(), *quantiles)  # type: ignore[arg-type]
