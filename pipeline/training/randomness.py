"""Random draws of training and measuring: each belongs to a key (a seed, a stream, a step), never to what came before.

The numbers of the streams decide the bytes of all weights and figures, and so stay what they are. Within one kind all
differ; those of two kinds may be equal, for what they begin has nothing to do with each other.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class GeneratorStream(IntEnum):
    """The training of a generator; each is drawn from anew at every step (orders: every epoch)."""

    SOURCE_CROPS = 0
    TARGET_CROPS = 1
    SOURCE_ORDER = 100
    TARGET_ORDER = 101
    STEP = 200
    CROPS = 300
    CROP_ORDER = 500
    CAMERAS = 600
    PAIRS = 700
    PAIR_ORDER = 801
    REFERENCES = 900
    REFERENCE_ORDER = 901


class JudgeStream(IntEnum):
    """The training of a network that recognises or judges; drawn from anew at every step (orders: every epoch)."""

    PLACES = 300
    REID_CROPS = 400
    REID_ORDER = 401
    GENERATED_ORDER = 402
    NOBODY_ORDER = 403


class SetStream(IntEnum):
    """Drawn once from a seed, of a whole set."""

    CANONICAL_POSES = 300
    MIXED_IMAGES = 410
    HALVES = 500
    DIVERSITY_PAIRS = 501
    WRONG_LABELS = 600
    PLANTED_NAMES = 601
    SCORED_IMAGES = 610
    JUDGED_IMAGES = 620
    CHOSEN_ROWS = 630
    MAPPED_ROWS = 640
    COMPARED_NOISE = 700
    MEASURED_NOISE = 800


def random_generator(*key: int) -> np.random.Generator:
    """A counter-based generator for a key of non-negative integers: equal keys give equal draws."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def epoch_rows(seed: int, stream: int, rows: int, step: int, size: int) -> NDArray[np.int64]:
    """Which of ``rows`` the batch of ``size`` at ``step`` takes: all of them in a new random order every epoch,
    whatever the batch size."""
    drawn = [divmod(step * size + place, rows) for place in range(size)]
    return np.array([_order(seed, stream, epoch, rows)[place] for epoch, place in drawn], np.int64)


@lru_cache(maxsize=8)
def _order(seed: int, stream: int, epoch: int, rows: int) -> NDArray[np.int64]:
    return random_generator(seed, stream, epoch).permutation(rows)
