"""Which rows show most that is new: greedy choice by worth times distance from what is there already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.measures.reliability import Scores
from pipeline.reid.evaluation import Features, Numbers


def quotas(available: Numbers, total: int) -> Numbers:
    """How many of each group's ``available`` (G,) to take so that all together are ``total``, or all there are: as many
    of each, and of groups that have fewer all; what does not divide goes to the groups that come first."""
    taken = np.zeros_like(available)
    left = min(total, int(available.sum()))
    while left:
        open_groups = np.flatnonzero(taken < available)[:left]
        each = np.minimum(available[open_groups] - taken[open_groups], max(1, left // len(open_groups)))
        taken[open_groups] += each
        left -= int(each.sum())
    return taken


def choose_diverse(features: Features, worth: Scores, known: Features, count: int) -> Numbers:
    """Row numbers of ``count`` of ``features`` (N, D), of length 1, in the order in which they are chosen.

    Each choice has the greatest product of its ``worth`` (N,) and its distance ``(1 - cosine) / 2`` from the nearest of
    ``known`` (M, D) and of those chosen before; the first of equals. It is the greedy k-centre algorithm (Gonzalez,
    "Clustering to Minimize the Maximum Intercluster Distance", 1985, as core-sets are chosen by Sener and Savarese,
    "Active Learning for Convolutional Neural Networks", ICLR 2018, algorithm 1) with weights, without which it would
    prefer what is far from everybody: rows that show somebody else.
    """
    distance = np.ones(len(features)) if not len(known) else _distances(features, known)
    open_rows, chosen = np.ones(len(features), np.bool_), []
    for _ in range(min(count, len(features))):
        row = int(np.where(open_rows, worth * distance, -np.inf).argmax())
        chosen.append(row)
        open_rows[row] = False
        distance = np.minimum(distance, _distances(features, features[row : row + 1]))
    return np.array(chosen, np.int64)


def _distances(features: Features, others: Features) -> NDArray[np.float64]:
    """(N,): from the nearest of ``others``."""
    nearest = (features @ others.T).max(axis=1).astype(np.float64)
    return np.maximum(0.0, (1.0 - nearest) / 2)
