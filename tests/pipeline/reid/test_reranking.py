"""k-reciprocal re-ranking: a case worked by hand, the program that torchreid ships, and what must hold always."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.reid.reranking import Reranking, _neighbours, reranked

torchreid = pytest.importorskip("torchreid.reid.utils.rerank")


def on_circle(*degrees: float) -> NDArray[np.float32]:
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def groups(rows: int = 120, people: int = 12) -> NDArray[np.float32]:
    """Features of ``people`` in noise."""
    rng = np.random.Generator(np.random.Philox(0))
    features = rng.normal(size=(people, 16))[rng.integers(0, people, rows)] + 0.8 * rng.normal(size=(rows, 16))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def distances(queries: NDArray[np.float32], gallery: NDArray[np.float32], settings: Reranking) -> NDArray[np.float32]:
    return -np.stack(list(reranked(queries, gallery, settings)))


def test_by_hand() -> None:
    """Query at 0 degrees, gallery at 10, 24 and 180, one neighbour each.

    Nearest: 0 <-> 10, 24 -> 10, 180 -> 24, so that only query and first are reciprocal. Half of k1 rounds to 0: the
    smaller sets hold their image alone and add nothing. The encodings of query and first are over the two of them,
    e^0 for itself and e^-d for the other, d by its own farthest image; the others' are over themselves alone.
    """
    found = distances(on_circle(0), on_circle(10, 24, 180), Reranking(k1=1, k2=1, distance_weight=0))[0]
    squared = {angle: 2 - 2 * np.cos(np.deg2rad(angle)) for angle in (10, 170, 180)}
    query, first = (np.exp(-squared[10] / squared[farthest]) for farthest in (180, 170))
    mine, its = np.array([1, query]) / (1 + query), np.array([first, 1]) / (1 + first)
    shared = np.minimum(mine, its).sum()
    assert found == pytest.approx([1 - shared / (2 - shared), 1, 1], abs=1e-6)
    weighed = distances(on_circle(0), on_circle(10, 24, 180), Reranking(k1=1, k2=1, distance_weight=0.25))[0]
    assert weighed[2] == pytest.approx(0.75 * 1 + 0.25 * 1)
    assert weighed[0] == pytest.approx(0.75 * found[0] + 0.25 * squared[10] / squared[180], abs=1e-6)


@pytest.mark.parametrize(
    "settings", [Reranking(), Reranking(10, 1, 0.0), Reranking(7, 3, 0.5)], ids=["paper", "no averages", "others"]
)
def test_as_the_dense_program(settings: Reranking) -> None:
    features = groups()
    queries, gallery = features[:30], features[30:]

    def euclidean(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.linalg.norm(one[:, None].astype(float) - other[None], axis=2)

    pairs = ((queries, gallery), (queries, queries), (gallery, gallery))
    three = (settings.k1, settings.k2, settings.distance_weight)
    expected = torchreid.re_ranking(*(euclidean(*pair) for pair in pairs), *three)
    assert distances(queries, gallery, settings) == pytest.approx(expected, abs=1e-6)


def test_all_weight_on_the_distance_gives_the_original_order() -> None:
    features = groups()
    found = distances(features[:30], features[30:], Reranking(distance_weight=1))
    assert np.array_equal(found.argsort(axis=1), (-features[:30] @ features[30:].T).argsort(axis=1))
    assert not np.array_equal(
        found.argsort(axis=1), distances(features[:30], features[30:], Reranking()).argsort(axis=1)
    )


def test_the_order_of_the_gallery_changes_nothing() -> None:
    features, order = groups(), np.random.Generator(np.random.Philox(1)).permutation(90)
    straight = distances(features[:30], features[30:], Reranking())
    assert distances(features[:30], features[30:][order], Reranking()) == pytest.approx(straight[:, order], abs=1e-6)


def test_copies_of_one_image_are_at_no_distance() -> None:
    features = groups()
    found = distances(features[:1], np.concatenate([features[:1], features[1:]]), Reranking())[0]
    assert found.argmin() == 0


def test_equal_ones_are_neighbours_by_number() -> None:
    """A square grid has many at the same distance; products of such numbers are exact."""
    rows = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2), -1).reshape(-1, 2).astype(np.float32)
    features = np.concatenate([rows / 4, rows / 4])
    distances = np.maximum(2 - 2 * features @ features.T, 0)
    np.fill_diagonal(distances, -1)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :8]
    assert len(np.unique(distances[0])) < len(features) / 4
    assert np.array_equal(_neighbours(features, 8)[0], expected)


COPIES = """
import numpy as np
from pipeline.reid.evaluation import measure
from pipeline.reid.reranking import reranked

rng = np.random.Generator(np.random.Philox(0))
people = rng.integers(1, 81, 600)
features = rng.normal(size=(40, 64)).astype(np.float32)[(people - 1) // 2]
features /= np.linalg.norm(features, axis=1, keepdims=True)
rows = reranked(features[:100], features[100:])
found = measure(rows, people[:100], np.zeros(100, int), people[100:], np.ones(500, int))
print(found.rank1, round(found.mean_ap, 6))
"""


def test_another_processor_ranks_copies_alike() -> None:
    """40 pictures, each as two people: who of the two comes first is a matter of equals alone."""
    kinds = ({}, {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX"})
    said = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", COPIES],
            env={**os.environ, "OMP_NUM_THREADS": "1", **kind},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for kind in kinds
    ]
    assert said[0] == said[1] != ""


def test_numbers_that_cannot_be() -> None:
    for wrong in ({"k1": 0}, {"k2": 22}, {"distance_weight": 1.5}):
        with pytest.raises(ValueError, match="must be positive"):
            Reranking(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="too few for 20 neighbours"):
        next(reranked(groups(5), groups(5), Reranking()))
