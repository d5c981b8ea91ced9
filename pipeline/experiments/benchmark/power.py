"""How sure a gain is: paired differences, resampled over worlds, trainings and people, and the least gain to be told.

The worlds' means already hold the noise of their people, so that resampling people within resampled worlds counts it
twice. As Davison and Hinkley do for hierarchical data ("Bootstrap Methods and their Application", 1997, section 3.8),
the worlds' deviations are shrunk first, until both levels together vary as the worlds' means were seen to vary.

Where worlds differ, their deviation is known from as few values as there are worlds: the interval and the least gain
come from Student's t with one degree of freedom less. Where the noise within worlds explains all, from the normal one.

How many worlds it takes follows the sites of multisite trials, each of which compares both arms: the variance of the
mean over J of them is (that between + that within) / J, and the least gain that is told a multiple of its root, which
hangs on J by Student's t too (Dong and Maynard, "PowerUp!", Journal of Research on Educational Effectiveness 6, 2013).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from pipeline.training.randomness import random_generator

LEVEL, POWER = 0.05, 0.8
"""Of a two-sided test, and of telling a gain with it. The gain that is told so is a multiple of the standard error:
1.96 + 0.84 where that is well known (Bloom, "Minimum Detectable Effects", Evaluation Review 19, 1995)."""
TOLD = 0.02
"""The gain in a share that a benchmark should be large enough to tell: two points."""
DRAWS = 2000


@dataclass(frozen=True)
class Paired:
    """One world: ``differences`` (T, Q) between two arms in each of T trainings of their networks and of each query,
    and ``people`` (Q,), who is searched for. Queries of one person go together: they are not independent."""

    differences: NDArray[np.float64]
    people: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.differences.ndim != 2 or not self.differences.size or self.people.shape != self.differences.shape[1:]:
            raise ValueError(
                f"differences (T, Q) and people (Q,), got {self.differences.shape} and {self.people.shape}"
            )


class Effect(NamedTuple):
    """A mean difference, its standard error, the 95% interval, the smallest true difference that a run like this tells
    in four of five cases, the mean of each world, and how much more these vary than the noise within them explains.

    Of one world the error holds the noise of its queries and trainings alone.
    """

    mean: float
    error: float
    interval: tuple[float, float]
    detectable: float
    worlds: tuple[float, ...]
    between: float = 0.0
    """A variance."""


def paired_effect(worlds: Sequence[Paired], draws: int = DRAWS) -> Effect:
    """The mean over worlds of the mean difference within each, and how sure it is.

    Raises:
        ValueError: there is no world.
    """
    if not worlds:
        raise ValueError("an effect needs at least one world")
    count, rng = len(worlds), random_generator(0)
    means = np.array([world.differences.mean() for world in worlds])
    noise = np.stack([_resampled(world, rng, draws * count) for world in worlds]) - means[:, None]
    shrinkage = _shrinkage(means, noise)
    levels = means.mean() + shrinkage * (means - means.mean())
    picked = rng.integers(count, size=(draws, count))
    places = np.arange(draws * count).reshape(draws, count)
    drawn = (levels[picked] + noise[picked, places]).mean(axis=1)
    mean, error = float(means.mean()), float(drawn.std())
    between = float(shrinkage**2 * means.var())
    reach, power = (multiple * error for multiple in _multiples(count, between))
    return Effect(mean, error, (mean - reach, mean + reach), reach + power, tuple(means.tolist()), between)


def worlds_needed(effect: Effect, least: float = TOLD) -> int:
    """The smallest number of worlds, of people and trainings like those of ``effect``, by which a true gain of
    ``least`` would be told in four of five cases.

    Of one world the worlds' own deviation is not known: it takes at least as many.
    """
    variance = effect.error**2 * len(effect.worlds)
    # By the normal distribution, below which Student's t never falls.
    start = max(1, math.ceil(variance * (sum(_multiples(1, 0.0)) / least) ** 2))
    if not effect.between:
        return start
    tried = itertools.count(max(start, 2))
    return next(count for count in tried if sum(_multiples(count, effect.between)) * (variance / count) ** 0.5 <= least)


def _multiples(worlds: int, between: float) -> tuple[float, float]:
    """Of the standard error: for the level, and for the power."""
    known = worlds - 1 if between else np.inf
    return float(student.ppf(1 - LEVEL / 2, known)), float(student.ppf(POWER, known))


def _resampled(world: Paired, rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """Means (draws,) over as many trainings and people as there are, drawn with replacement."""
    trainings = len(world.differences)
    everybody, place = np.unique(world.people, return_inverse=True)
    sums = np.stack([np.bincount(place, row, len(everybody)) for row in world.differences])
    queries = np.bincount(place, minlength=len(everybody))
    people = rng.integers(len(everybody), size=(draws, len(everybody)))
    found = np.zeros(draws)
    for _ in range(trainings):
        run = rng.integers(trainings, size=(draws, 1))
        found += sums[run, people].sum(axis=1)
    means: NDArray[np.float64] = found / (trainings * queries[people].sum(axis=1))
    return means


def _shrinkage(means: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    """The factor for the worlds' deviations from their mean, 0 where the noise within them explains all."""
    if len(means) < 2 or not means.var():
        return 0.0
    between = means.var(ddof=1) - noise.var(axis=1).mean()
    return float(np.sqrt(max(between, 0.0) / means.var()))
