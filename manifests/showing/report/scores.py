"""What the quality scores of a row are called, what they mean, which way is better, and how they spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

_BINS = 28


class Score(NamedTuple):
    """A score of a row; ``better`` is None where neither end of it is."""

    name: str
    title: str
    meaning: str
    better: Literal["high", "low"] | None

    @property
    def direction(self) -> str:
        return {"high": "higher is better", "low": "lower is better", None: ""}[self.better]


_KNOWN = (
    Score("reliability", "Reliability", "probability of the labelled identity among all", "high"),
    Score("plausibility", "Plausibility", "of the labelled identity against one other at random", "high"),
    Score("target_confidence", "Target confidence", "how far the camera, domain or pose asked for was reached", "high"),
    Score("identity_similarity", "Identity similarity", "to the source image, by a ReID model", "high"),
    Score("identity_rank", "Identity rank", "of the labelled identity among all, by a ReID model", "low"),
    Score(
        "identity_margin",
        "Identity margin",
        "similarity to the labelled identity less that to the nearest other",
        "high",
    ),
    Score("identity_entropy", "Identity entropy", "how undecided a ReID model is between identities, nats", "low"),
    Score("pose_error", "Pose error", "distance of the joints found from those asked for, share of the height", "low"),
    Score("foreground_fidelity", "Foreground fidelity", "correlation of luminance gradients on the person", "high"),
    Score("foreground_change", "Foreground change", "mean change of the person's pixels, share of the range", "low"),
    Score("style_shift", "Style shift", "towards the target's look: 0 not at all, 1 all the way", "high"),
    Score("background_change", "Background change", "mean change around the person, share of the range", None),
    Score("sharpness", "Sharpness", "how much fine detail there is", "high"),
    Score("uniqueness", "Uniqueness", "one less the similarity to the most similar other row, by a ReID model", None),
    Score("repeats", "Repeats", "rows before it that are near duplicates of it", None),
    Score("mask_quality", "Mask quality", "predicted by the segmenter: overlap with the true mask", "high"),
)
"""The first that is known and has a better end says which samples are best and worst."""


def known_scores(frame: pl.DataFrame, names: list[str]) -> list[Score]:
    """The scores among the columns ``names`` that some row has, the most telling first; unknown names come last."""
    present = {name for name in names if len(_finite(frame, name))}
    ours = [score for score in _KNOWN if score.name in present]
    others = sorted(present - {score.name for score in ours})
    return [*ours, *(Score(name, name.replace("_", " ").capitalize(), "", None) for name in others)]


@dataclass(frozen=True)
class Histogram:
    """How one score spreads; ``bars`` are heights in [0, 1] from ``low`` to ``high`` in equal steps."""

    score: Score
    rows: int
    low: float
    median: float
    high: float
    quartiles: tuple[float, float]
    bars: list[float]

    def place(self, value: float) -> float:
        """Where ``value`` stands between ``low`` (0) and ``high`` (1)."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def histogram(frame: pl.DataFrame, score: Score) -> Histogram:
    """The spread of a score that `known_scores` found."""
    values = _finite(frame, score.name)
    low, lower, median, upper, high = (float(value) for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
    counts = np.histogram(values, _BINS)[0] if high > low else np.bincount([_BINS // 2], minlength=_BINS)
    bars = (counts / counts.max()).tolist()
    return Histogram(score, len(values), low, median, high, (lower, upper), bars)


def _finite(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    values = frame.get_column(name).drop_nulls().to_numpy().astype(np.float64)
    return values[np.isfinite(values)]
