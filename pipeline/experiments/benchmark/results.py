"""The benchmark as tables: every measurement, and of each arm the paired gain over an equally long training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pipeline.experiments.benchmark.gaps import Part
from pipeline.experiments.benchmark.power import Effect, Paired, paired_effect
from pipeline.experiments.benchmark.records import NORMS, ArmRecord, Measurement, Norm

FIGURES = ("rank1", "rank5", "rank10", "mean_ap", "mean_inp")
GAINS = ("rank1", "mean_ap")
Runs = Mapping[tuple[int, int], Measurement]
"""One arm in one part and norm, by seed and training."""


class Line(NamedTuple):
    """One arm of a gap with its batch norm in one state; shares are means over seeds and trainings."""

    arm: str
    norm: Norm
    rank1: float
    mean_ap: float
    gains: Mapping[str, Effect]
    """Of rank-1 and mAP over ``against``; none where that was not measured with the same seed and training."""
    against: str
    """Empty for the plain baseline as it was trained."""
    images: Mapping[str, int]
    """Trained on, by kind; of the first seed."""
    generates: bool
    """As in `ArmRecord`."""
    recognised: float | None
    moved: float | None
    both: float | None
    """As in `ArmRecord`, means over seeds."""
    settings: Mapping[str, Any]
    """What was tried."""


def measurements(records: Sequence[ArmRecord]) -> pl.DataFrame:
    """One row for each gap, arm, seed, training, part of the people and norm: figures as shares, counts of images."""
    rows = [
        {
            "gap": record.gap,
            "arm": record.arm,
            "seed": record.seed,
            "training": record.training,
            "part": one.part,
            "norm": one.norm,
            **{name: float(one.figures[name]) for name in FIGURES},
            "queries": int(one.figures["queries"]),
            "real_images": record.images.get("real", 0),
            "synthetic_images": record.images.get("synthetic", 0),
            "recognised": record.recognised,
            "moved": record.moved,
            "both": record.both,
        }
        for record in records
        for one in record.measured
    ]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("recognised", "moved", "both"), pl.Float64))


def summarize(records: Sequence[ArmRecord], gap: str, part: Part = "test") -> list[Line]:
    """What was measured of the gap's arms, in the order of ``records``, each arm in both norms."""
    mine = [record for record in records if record.gap == gap]
    arms = dict.fromkeys(record.arm for record in mine)
    return [_line(mine, arm, norm, part) for arm in arms for norm in NORMS]


def gains_table(lines: Mapping[str, Sequence[Line]], part: Part) -> pl.DataFrame:
    """One row for each gain of ``lines`` (by gap): its mean, standard error, 95% interval and what could be told."""
    rows: list[dict[str, Any]] = [
        {
            "gap": gap,
            "arm": line.arm,
            "norm": line.norm,
            "part": part,
            "against": line.against,
            "figure": figure,
            "gain": effect.mean,
            "standard_error": effect.error,
            "low": effect.interval[0],
            "high": effect.interval[1],
            "detectable": effect.detectable,
            "by_seed": list(effect.worlds),
        }
        for gap, some in lines.items()
        for line in some
        for figure, effect in line.gains.items()
    ]
    return pl.DataFrame(rows)


def detectable(lines: Iterable[Line], figure: str) -> float | None:
    """The smallest gain that can be told of every arm with generated images; None without any."""
    return max((effect.detectable for effect in gains_of_generated(lines, figure)), default=None)


def gains_of_generated(lines: Iterable[Line], figure: str) -> list[Effect]:
    """The gains of all arms with generated images."""
    return [line.gains[figure] for line in lines if line.generates and figure in line.gains]


def _line(records: Sequence[ArmRecord], arm: str, norm: Norm, part: Part) -> Line:
    own = [record for record in records if record.arm == arm]
    runs, against = _runs(records, (arm, norm), part), _held_against(own[0], norm)
    return Line(
        arm,
        norm,
        float(np.mean([one.figures["rank1"] for one in runs.values()])),
        float(np.mean([one.figures["mean_ap"] for one in runs.values()])),
        _gains(runs, _runs(records, against, part)) if against else {},
        ", ".join(against or ()),
        own[0].images,
        own[0].generates,
        _mean([record.recognised for record in own]),
        _mean([record.moved for record in own]),
        _mean([record.both for record in own]),
        own[0].identity,
    )


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if known else None


def _held_against(record: ArmRecord, norm: Norm) -> tuple[str, Norm] | None:
    """An equally long training with its batch norm in the same state; the plain one re-estimated against itself."""
    if record.against is not None:
        return record.against, norm
    return None if norm == NORMS[0] else (record.arm, NORMS[0])


def _runs(records: Iterable[ArmRecord], arm: tuple[str, Norm], part: Part) -> Runs:
    return {
        (record.seed, record.training): one
        for record in records
        for one in record.measured
        if (record.arm, one.norm, one.part) == (*arm, part)
    }


def _gains(runs: Runs, other: Runs) -> dict[str, Effect]:
    """What ``runs`` have over those of ``other`` with the same seed and training."""
    by_seed = [list(pairs) for _, pairs in groupby(sorted(runs.keys() & other.keys()), key=itemgetter(0))]
    if not by_seed:
        return {}
    return {figure: paired_effect([_paired(pairs, runs, other, figure) for pairs in by_seed]) for figure in GAINS}


def _paired(pairs: Sequence[tuple[int, int]], runs: Runs, other: Runs, figure: str) -> Paired:
    """The differences of one seed."""
    differences = [np.subtract(getattr(runs[pair], figure), getattr(other[pair], figure)) for pair in pairs]
    return Paired(np.stack(differences), np.asarray(runs[pairs[0]].people))
