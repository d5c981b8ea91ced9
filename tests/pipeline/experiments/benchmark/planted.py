"""Records whose figures are known."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.experiments.benchmark import arms
from pipeline.experiments.benchmark.gaps import DOMAINS
from pipeline.experiments.benchmark.records import NORMS, ArmRecord, Measurement, Norm
from pipeline.experiments.benchmark.results import FIGURES

BASELINE = arms.BASELINE.name
QUERIES = 50


def measurement(part: str, norm: Norm, hits: int) -> Measurement:
    """``hits`` of `QUERIES` queries found at once, each with an AP of a half; the others with 0."""
    rank1 = [1] * hits + [0] * (QUERIES - hits)
    shares = {**dict.fromkeys(FIGURES, hits / QUERIES / 2), "rank1": hits / QUERIES}
    average = [one / 2 for one in rank1]
    return Measurement(part, norm, {**shares, "queries": QUERIES}, list(range(QUERIES)), rank1, average)  # type: ignore[arg-type]


def record(
    arm: str, seed: int, hits: int, *, training: int = 0, better: int = 5, validation: int = 45, recognised: bool = True
) -> ArmRecord:
    """With re-estimated statistics, ``better`` more hits."""
    measured = [
        measurement(part, norm, count + better * (norm == NORMS[1]))
        for part, count in (("validation", validation), ("test", hits))
        for norm in NORMS
    ]
    images = {"real": 100, "synthetic": 0 if arm.startswith(BASELINE) else 200}
    made = images["synthetic"] and recognised
    against = None if arm == BASELINE else BASELINE
    identity = {
        "settings": {"size": 1},
        "arm": {"recipe": None if arm == BASELINE else arm, "mix": {"real_to_synthetic": 3.0}},
        "training": training,
    }
    share = 0.8 + seed / 100 if made else None
    return ArmRecord(
        DOMAINS.name,
        arm,
        seed,
        training,
        against,
        identity,
        measured,
        images,
        share,
        share and 0.5,
        share and share / 2,
    )


def planted() -> Sequence[ArmRecord]:
    """A baseline and PTGAN with three seeds, SPGAN with one of them."""
    return [
        *(record(BASELINE, seed, hits) for seed, hits in ((0, 15), (1, 20), (2, 25))),
        *(record("ptgan", seed, hits) for seed, hits in ((0, 18), (1, 22), (2, 29))),
        record("spgan", 1, 19),
    ]
