"""How sure a gain is: paired differences, resampled over worlds, trainings and people, and the least gain to be told.

The worlds' means already hold the noise of their people, so that resampling people within resampled worlds counts it
twice. As Davison and Hinkley do for hierarchical data ("Bootstrap Methods and their Application", 1997, section 3.8),
the worlds' deviations are shrunk first, until both levels together vary as the worlds' means were seen to vary.

Where worlds differ, their deviation is known from as few values as there are worlds: the interval and the least gain
come from Student's t with one degree of freedom less. Where the noise within worlds explains all, from the normal one.
"""

from __future__ import annotations

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
    in four of five cases, and the mean of each world.

    Of one world the error holds the noise of its queries and trainings alone.
    """

    mean: float
    error: float
    interval: tuple[float, float]
    detectable: float
    worlds: tuple[float, ...]


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
    known = count - 1 if shrinkage else np.inf
    reach, power = (float(student.ppf(share, known)) * error for share in (1 - LEVEL / 2, POWER))
    return Effect(mean, error, (mean - reach, mean + reach), reach + power, tuple(means.tolist()))


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
