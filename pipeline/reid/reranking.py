"""k-reciprocal re-ranking: images that are among each other's nearest count as alike, beside their own distance.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, section 3. No labels are
looked at: every image of query and gallery takes part, distractors and junk too. Two things that the text leaves
open are as in its authors' program, so that figures can be compared: distances are squared and divided by the row's
greatest, and a neighbour's set is taken in if *more* than two thirds of it are shared.

What is equally near ranks by its number, queries before the gallery, whatever the processor.

Sets of neighbours are rows of sparse matrices. Reciprocity bounds a row: at most k1 + 1 neighbours, and
(k1 + 1)(k1 / 2 + 2) after the expansion. So memory grows with the number of images and not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.reid.evaluation import Features, Numbers, check_features, similarities, similarity_blocks

_CHUNK = 64


@dataclass(frozen=True)
class Reranking:
    """The paper's three numbers, at its values for Market-1501."""

    k1: int = 20
    """nearest images that may be reciprocal neighbours"""
    k2: int = 6
    """nearest images whose encodings are averaged; 1 for none"""
    distance_weight: float = 0.3
    """lambda: share of the original distance in the final one; 1 gives the original order"""

    def __post_init__(self) -> None:
        if self.k1 < 1 or not 1 <= self.k2 <= self.k1 + 1 or not 0 <= self.distance_weight <= 1:
            raise ValueError(f"k1 must be positive, k2 in [1, k1 + 1] and the weight in [0, 1], got {self}")


def reranked(queries: Features, gallery: Features, settings: Reranking | None = None) -> Iterator[Features]:
    """Re-ranked similarities for `evaluation.measure`: the negative final distances, (G,) float32 for each of
    ``queries`` (Q, D), in their order. Rows of ``queries`` and ``gallery`` (G, D) have Euclidean length 1.

    Raises:
        ValueError: no more images than neighbours, or a feature is not finite.
    """
    settings = settings or Reranking()
    check_features(queries, gallery)
    features = np.concatenate([queries, gallery])
    if len(features) <= settings.k1:
        raise ValueError(f"{len(features)} images are too few for {settings.k1} neighbours: lower k1")
    nearest, farthest = _neighbours(features, settings.k1 + 1)
    encodings = _encodings(features, nearest, farthest, settings)
    by_neighbour = encodings[len(queries) :].tocsc()
    for number, cosines in enumerate(similarities(queries, gallery)):
        original = np.maximum(2 - 2 * cosines, 0) / farthest[number]
        jaccard = _jaccard_distances(encodings[[number]], by_neighbour)
        share = settings.distance_weight
        yield -((1 - share) * jaccard + share * original).astype(np.float32)


def _neighbours(features: Features, count: int) -> tuple[Numbers, Features]:
    """The ``count`` nearest of all rows, (N, count) from near to far and so itself first; and the squared distance
    of the farthest, (N,)."""
    nearest, farthest = np.empty((len(features), count), np.int64), np.empty(len(features), np.float32)
    for number, cosines in enumerate(similarity_blocks(features, features, _CHUNK)):
        start = number * _CHUNK
        part = slice(start, start + _CHUNK)
        distances = np.maximum(2 - 2 * cosines, 0)
        own = np.arange(len(distances))
        farthest[part] = np.maximum(distances.max(axis=1), 1e-12)
        distances[own, start + own] = -1  # rounding must not put a copy of the image before the image
        nearest[part] = _lowest(distances, count)
    return nearest, farthest


def _lowest(distances: Features, count: int) -> Numbers:
    """Columns of the ``count`` lowest of each row (R, N), from low to high, the first of equals first: (R, count).

    A partition alone takes any of those that equal the last one, which the processor's instructions decide.
    """
    last = np.partition(distances, count - 1, axis=1)[:, count - 1, None]
    lower, equal = distances < last, distances == last
    chosen = lower | (equal & (np.cumsum(equal, axis=1) <= count - lower.sum(axis=1, keepdims=True)))
    closest = np.nonzero(chosen)[1].reshape(len(distances), count)
    order = np.argsort(np.take_along_axis(distances, closest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(closest, order, axis=1)


def _encodings(features: Features, nearest: Numbers, farthest: Features, settings: Reranking) -> sparse.csr_array:
    """Equations 5, 7 and 11: (N, N) sparse rows over the k-reciprocal neighbours, nearer ones weigh more, sum 1."""
    members = _expanded(nearest, settings.k1)
    rows = np.repeat(np.arange(len(features)), np.diff(members.indptr))
    weights = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), 1 << 16):  # a pair needs two features at hand
        part = slice(start, start + (1 << 16))
        cosines = np.einsum("nd,nd->n", features[rows[part]], features[members.indices[part]])
        weights[part] = np.exp(-np.maximum(2 - 2 * cosines, 0) / farthest[rows[part]])
    sums = np.bincount(rows, weights, minlength=len(features))
    encoded = sparse.csr_array((weights / sums[rows].astype(np.float32), members.indices, members.indptr))
    if settings.k2 == 1:
        return encoded
    return (_sets(nearest[:, : settings.k2]) @ encoded / settings.k2).astype(np.float32)


def _expanded(nearest: Numbers, k1: int) -> sparse.csr_array:
    """R* of equation 5: the reciprocal neighbours, with those of each that shares enough of its own."""
    close = _reciprocal(nearest[:, : k1 + 1])
    closer = _reciprocal(nearest[:, : round(k1 / 2) + 1])
    shared = ((close @ closer.T) * close).tocoo()
    sizes = closer.sum(axis=1)
    enough = 3 * shared.data > 2 * sizes[shared.col]
    invited = sparse.coo_array((shared.data[enough] > 0, (shared.row[enough], shared.col[enough])), close.shape)
    members = (close + invited.astype(np.int32).tocsr() @ closer).tocsr()
    members.sort_indices()
    return members


def _reciprocal(nearest: Numbers) -> sparse.csr_array:
    """R of equation 2: 1 where two images are among each other's ``nearest`` (N, k)."""
    listed = _sets(nearest)
    return (listed * listed.T).tocsr()


def _sets(nearest: Numbers) -> sparse.csr_array:
    """(N, N) sparse int32, 1 where a row of ``nearest`` (N, k) names the column; columns ascend, so that sums over
    equal sets are the same to the last bit."""
    count, each = nearest.shape
    ones, ends = np.ones(nearest.size, np.int32), np.arange(count + 1) * each
    return sparse.csr_array((ones, np.sort(nearest, axis=1).ravel(), ends), (count, count))


def _jaccard_distances(encoding: Any, by_neighbour: Any) -> NDArray[np.float32]:
    """Equation 10 for one encoding (1, N) and those of the gallery, (G, N) by column: (G,)."""
    both = by_neighbour[:, encoding.indices]
    least = np.minimum(both.data, np.repeat(encoding.data, np.diff(both.indptr)))
    shared = np.bincount(both.indices, least, minlength=both.shape[0])
    return np.asarray(1 - shared / (2 - shared), np.float32)  # each encoding sums to 1
