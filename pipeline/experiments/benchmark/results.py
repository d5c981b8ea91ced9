"""The benchmark as tables: every measurement, and of each arm the mean and the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from pipeline.experiments.benchmark.gaps import BASELINE, Arm, Gain, Gap
from pipeline.experiments.benchmark.records import ArmRecord

FIGURES = ("rank1", "rank5", "rank10", "mean_ap", "mean_inp")


class Spread(NamedTuple):
    """Mean and sample standard deviation (None for one value) of shares over seeds, and the values."""

    mean: float
    deviation: float | None
    values: tuple[float, ...]


class Line(NamedTuple):
    """One arm of a gap. ``gain`` is rank-1 over the same seed's baseline; a baseline has none."""

    arm: Arm
    rank1: Spread
    mean_ap: Spread
    gain: Spread | None
    gain_map: Spread | None
    images: str
    recognised: Spread | None
    """Share of the generated images in which the baseline recognises the person; None where they show nobody."""
    paper: Gain | None


def measurements(records: Sequence[ArmRecord]) -> pl.DataFrame:
    """One row for each gap, arm, seed and part of the people: figures as shares, and how many images."""
    rows = [
        {
            "gap": record.gap,
            "arm": record.arm,
            "seed": record.seed,
            "part": part,
            **{name: float(found[name]) for name in FIGURES},
            "queries": int(found["queries"]),
            "real_images": record.images.get("real", 0),
            "synthetic_images": record.images.get("synthetic", 0),
            "recognised": record.recognised,
        }
        for record in records
        for part, found in record.figures.items()
    ]
    return pl.DataFrame(rows, schema_overrides={"recognised": pl.Float64})


def summarize(table: pl.DataFrame, gap: Gap, part: str = "test") -> list[Line]:
    """The gap's arms that were measured, the baseline first, each over the seeds that it was measured with."""
    found = table.filter((pl.col("gap") == gap.name) & (pl.col("part") == part)).sort("seed")
    baseline = {row["seed"]: row for row in found.filter(pl.col("arm") == BASELINE).to_dicts()}
    lines = []
    for arm in (gap.baseline, *gap.arms):
        rows = found.filter(pl.col("arm") == arm.name).to_dicts()
        if rows:
            lines.append(_line(arm, rows, {} if arm.name == BASELINE else baseline))
    return lines


def _line(arm: Arm, rows: list[dict[str, float]], baseline: dict[float, dict[str, float]]) -> Line:
    paired = [(row, baseline[row["seed"]]) for row in rows if row["seed"] in baseline]
    gains = {
        name: spread([row[name] - base[name] for row, base in paired]) if paired else None
        for name in ("rank1", "mean_ap")
    }
    used = rows[0]["real_images"] if arm.train_on in ("real", "both") else 0
    made = rows[0]["synthetic_images"]
    recognised = [row["recognised"] for row in rows if row["recognised"] is not None]
    counts = [f"{used:g} real" if used else "", f"{made:g} synthetic" if made else ""]
    return Line(
        arm,
        spread([row["rank1"] for row in rows]),
        spread([row["mean_ap"] for row in rows]),
        gains["rank1"],
        gains["mean_ap"],
        " + ".join(filter(None, counts)),
        spread(recognised) if recognised else None,
        arm.paper,
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation."""
    column = pl.Series(values, dtype=pl.Float64)
    deviation = column.std() if len(values) > 1 else None
    return Spread(float(column.mean()), None if deviation is None else float(deviation), tuple(values))  # type: ignore[arg-type]
