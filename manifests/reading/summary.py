"""What a data set holds, in numbers: counts by column, sizes, scores. Picture bytes are never read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from manifests.format.schema import QUALITY_SCORES, SCHEMAS, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.query import RowNumbers
from manifests.reading.rows import fetch_rows, parts, places_of

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


@dataclass(frozen=True)
class RowCounts:
    """How many rows have which value; see `Summary`."""

    rows: int
    counts: Mapping[str, Mapping[str, int]]
    identities: Mapping[str, int]
    sizes: Mapping[str, int]


class RowCounter:
    """Counts rows by value, some at a time: `add` takes tables that have `columns`, and may have others."""

    def __init__(self, kind: Kind) -> None:
        schema = SCHEMAS[kind].names
        self._named = COUNTED[kind]
        self.columns = (*self._named, *(name for name in ("identity", "target", "width", "height") if name in schema))
        self._found: dict[str, Counter[Any]] = defaultdict(Counter)
        self._rows = 0

    def add(self, part: pa.Table) -> None:
        """Count these rows too."""
        self._rows += part.num_rows
        columns = {name: part.column(name) for name in (*self._named, "identity") if name in self.columns}
        if "target" in self.columns:
            columns |= {f"target_{name}": pc.struct_field(part.column("target"), name) for name in ("camera", "domain")}
        width, height = (part.column(name).cast(pa.int64()) for name in ("width", "height"))
        columns["size"] = pc.add(pc.multiply(width, 2**32), height)
        for name, column in columns.items():
            counted = pc.value_counts(column)
            self._found[name].update(dict(zip(*(counted.field(place).to_pylist() for place in (0, 1)), strict=True)))

    def counts(self) -> RowCounts:
        """Of all rows so far."""
        found = self._found
        sizes = Counter({f"{size >> 32}x{size % 2**32}": many for size, many in found["size"].items()})
        identities = {name: many for name, many in found["identity"].items() if name is not None}
        known = [*self._named, *(("target_camera", "target_domain") if "target" in self.columns else ())]
        counts = {name: _sorted(found[name]) for name in known}
        return RowCounts(self._rows, counts, _sorted(Counter(identities)), _sorted(sizes))


def count_rows(dataset: Dataset, chosen: RowNumbers | None = None) -> RowCounts:
    """The rows, or the ``chosen`` ones, by value; never more than one file is in memory."""
    counter = RowCounter(dataset.kind)
    for part in parts(dataset, counter.columns, chosen):
        counter.add(part)
    return counter.counts()


def _sorted(counted: Counter[Any]) -> dict[str, int]:
    """In the order of the values; ``null`` stands for the missing one."""
    ordered = sorted(counted.items(), key=lambda one: (one[0] is None, one[0]))
    return {"null" if value is None else str(value): rows for value, rows in ordered}


def summarize(dataset: Dataset, chosen: RowNumbers | None = None) -> Summary:
    """What the data set holds; of the ``chosen`` rows, if given."""
    snapshot, found, scores = dataset.snapshot, count_rows(dataset, chosen), _scores(dataset, chosen)
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
        matching=found.rows,
        rejected=snapshot.rejected,
        erased=snapshot.erased,
        reasons=snapshot.reasons,
        counts=found.counts,
        identities=found.identities,
        sizes=found.sizes,
        scores={name: spread for name in scores.columns if (spread := _spread(scores, name))},
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


def _scores(dataset: Dataset, chosen: RowNumbers | None) -> pl.DataFrame:
    """The scores of the rows, or of the ``chosen`` ones."""
    if dataset.kind == "source":
        return pl.DataFrame()
    name = "quality" if dataset.kind == "synthetic" else "mask_quality"
    frame = frame_of(dataset.read([name]))
    frame = frame if chosen is None else frame[chosen]
    return frame.select(pl.col(name).struct.field(*QUALITY_SCORES)) if dataset.kind == "synthetic" else frame


def _spread(table: pl.DataFrame, name: str) -> Spread | None:
    values = table.get_column(name).drop_nulls().drop_nans()
    if values.is_empty():
        return None
    quantiles = (values.quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Spread(len(values), values.mean(), *quantiles)  # type: ignore[arg-type]
