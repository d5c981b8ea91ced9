"""CMC, mAP and mINP against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.reid.evaluation import Retrieval, evaluate, left_out, measure, retrieval_rate, similarities
from pipeline.reid.fusion import fuse_poses
from pipeline.reid.reranking import Reranking, reranked


def on_circle(*degrees: float) -> NDArray[np.float32]:
    """Features on the unit circle: the nearer in angle, the more alike."""
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def ids(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


# One query of person 1 by camera 1; the gallery by its distance from the query.
GALLERY = on_circle(1, 2, 3, 4, 5, 6)
PEOPLE = ids(1, -1, 2, 1, 0, 1)
CAMERAS = ids(1, 2, 2, 2, 2, 3)


def test_same_camera_and_junk_are_passed_over_and_distractors_stay() -> None:
    found = evaluate(on_circle(0), ids(1), ids(1), GALLERY, PEOPLE, CAMERAS)
    # Left: wrong person, hit, distractor, hit.
    assert (found.rank1, found.rank5, found.rank10) == (0, 1, 1)
    assert found.mean_ap == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found.mean_inp == pytest.approx(2 / 4)
    assert found.queries == 1


def test_another_camera_of_the_query_changes_what_counts() -> None:
    found = evaluate(on_circle(0), ids(1), ids(2), GALLERY, PEOPLE, CAMERAS)
    # Left: hit at 1 (camera 1), wrong person, distractor, hit (camera 3).
    assert found.rank1 == 1
    assert found.mean_ap == pytest.approx((1 + 2 / 4) / 2)


def test_means_over_queries_and_those_without_an_answer_are_left_out() -> None:
    queries = on_circle(0, 0, 3)
    found = evaluate(queries, ids(1, 7, 2), ids(1, 1, 1), GALLERY, PEOPLE, CAMERAS)
    assert found.queries == 2
    assert found.rank1 == 0.5
    assert found.mean_ap == pytest.approx((0.5 + 1) / 2)


def test_why_queries_have_no_answer() -> None:
    """Person 1 is seen by cameras 1 and 2, 2 by camera 2 alone, 3 nobody knows by which; 4 is not there; 0: nobody."""
    people, cameras = ids(1, 1, 2, 3, 0), ids(1, 2, 2, -1, 2)
    causes = left_out(ids(1, 2, 3, 3, 4, 4, 4, 0), ids(1, 2, -1, 1, 1, 2, 3, 1), people, cameras)
    assert causes == {"not_in_gallery": 3, "own_camera": 1, "unknown_cameras": 1}
    gallery = on_circle(1, 2, 3, 4, 5)
    for person, camera, said in (
        (4, 1, "1 of people who are not in the gallery"),
        (2, 2, "1 of people seen there by the query's own camera alone"),
        (3, -1, "1 of people whose cameras nobody knows"),
        (0, 1, "no query shows a person of a name"),
    ):
        with pytest.raises(ValueError, match=f"^no query has an answer in the gallery: {said}"):
            evaluate(on_circle(0), ids(person), ids(camera), gallery, people, cameras)


def test_ranks_end_where_they_say() -> None:
    gallery = on_circle(*range(1, 12))
    people = ids(*[2] * 10, 1)
    found = evaluate(on_circle(0), ids(1), ids(1), gallery, people, ids(*[2] * 11))
    assert (found.rank5, found.rank10, found.mean_ap) == (0, 0, pytest.approx(1 / 11))
    found = evaluate(on_circle(0), ids(1), ids(1), gallery[1:], people[1:], ids(*[2] * 10))
    assert (found.rank5, found.rank10) == (0, 1)


def brute_force(queries, q_ids, q_cams, gallery, g_ids, g_cams) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Rank-1 and mAP one query and one gallery image at a time, as the protocol says it in words."""
    first, precisions = [], []
    for feature, identity, camera in zip(queries, q_ids, q_cams, strict=True):
        hits = []
        for item in sorted(range(len(gallery)), key=lambda item: -float(feature @ gallery[item])):
            if g_ids[item] != -1 and not (g_ids[item] == identity and g_cams[item] == camera):
                hits.append(g_ids[item] == identity)
        if any(hits):
            first.append(hits[0])
            ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
            precisions.append(np.mean([number / rank for number, rank in enumerate(ranks, 1)]))
    return float(np.mean(first)), float(np.mean(precisions))


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_as_brute_force_whatever_the_chunk(chunk: int) -> None:
    rng = np.random.Generator(np.random.Philox(3))
    sets = []
    for count, lowest in ((20, 1), (90, -1)):
        features = rng.normal(size=(count, 5)).astype(np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        sets += [features, rng.integers(lowest, 8, count), rng.integers(1, 4, count)]
    found = evaluate(*sets, chunk=chunk)
    assert (found.rank1, found.mean_ap) == pytest.approx(brute_force(*sets), abs=1e-9)


def test_retrieval_rate() -> None:
    gallery, people = on_circle(0, 90, 180), ids(5, 6, 7)
    assert retrieval_rate(on_circle(10, 80, 100, 170), ids(5, 6, 7, 7), gallery, people) == 0.75
    with pytest.raises(ValueError, match="at least one"):
        retrieval_rate(on_circle(), ids(), gallery, people)


def test_nobody_asked_for_is_no_query() -> None:
    found = evaluate(on_circle(0, 0), ids(0, 1), ids(9, 1), GALLERY, PEOPLE, CAMERAS)
    assert found.queries == 1, "a distractor among the queries does not find the gallery's distractors"


def test_equal_ones_rank_in_gallery_order() -> None:
    gallery, cameras = on_circle(5, 5, 5, 5), ids(2, 2, 2, 2)
    for people, ranks in ((ids(2, 1, 1, 3), [2, 3]), (ids(1, 2, 3, 1), [1, 4]), (ids(3, 2, 3, 1), [4])):
        found = evaluate(on_circle(0), ids(1), ids(1), gallery, people, cameras)
        assert found.mean_ap == pytest.approx(np.mean([hit / rank for hit, rank in enumerate(ranks, 1)]))
        assert found.mean_inp == pytest.approx(len(ranks) / ranks[-1])


def test_copies_are_equally_near_wherever_they_stand() -> None:
    rng = np.random.Generator(np.random.Philox(2))
    gallery = rng.normal(size=(40, 64)).astype(np.float32)[np.arange(601) % 40]
    found = np.stack(list(similarities(rng.normal(size=(3, 64)).astype(np.float32), gallery)))
    assert (found == found[:, np.arange(601) % 40]).all()


@pytest.mark.filterwarnings("ignore:Cython evaluation")
@pytest.mark.parametrize("seed", [0, 1])
def test_as_torchreid(seed: int) -> None:
    metrics = pytest.importorskip("torchreid.reid.metrics.rank")
    rng = np.random.Generator(np.random.Philox(seed))
    queries, gallery = (rng.normal(size=(rows, 8)).astype(np.float32) for rows in (60, 400))
    for features in (queries, gallery):
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    q_ids, g_ids = rng.integers(1, 25, 60), rng.integers(0, 20, 400)
    q_cams, g_cams = rng.integers(1, 4, 60), rng.integers(1, 4, 400)
    cmc, mean_ap = metrics.evaluate_rank(-(queries @ gallery.T), q_ids, g_ids, q_cams, g_cams, use_cython=False)
    found = evaluate(queries, q_ids, q_cams, gallery, g_ids, g_cams)
    assert found.queries < 60, "some have no answer"
    assert (found.rank1, found.rank5, found.rank10) == pytest.approx((cmc[0], cmc[4], cmc[9]), abs=1e-6)
    assert found.mean_ap == pytest.approx(mean_ap, abs=1e-6)


def test_what_is_not_finite_has_no_rank() -> None:
    broken = GALLERY.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="1 of 6 features are not finite"):
        evaluate(on_circle(0), ids(1), ids(1), broken, PEOPLE, CAMERAS)
    with pytest.raises(ValueError, match="1 of 1 features are not finite"):
        retrieval_rate(np.full((1, 2), np.inf, np.float32), ids(5), GALLERY, PEOPLE)
    rows = [np.array([1, np.nan, 0, 0.5, -np.inf, 0.1], np.float32)]
    with pytest.raises(ValueError, match="2 similarities of a query are not finite"):
        measure(rows, ids(1), ids(1), PEOPLE, CAMERAS)
    with pytest.raises(ValueError, match="features are not finite"):
        next(reranked(on_circle(0), broken, Reranking(k1=2, k2=1)))
    with pytest.raises(ValueError, match="must be finite"):
        fuse_poses(GALLERY, np.repeat(broken[:, None], 2, axis=1))


@pytest.mark.parametrize("share", [2.0, -0.1, math.nan])
def test_no_share_beyond_all_or_nothing(share: float) -> None:
    with pytest.raises(ValueError, match="shares lie between 0 and 1"):
        Retrieval(1.0, 1.0, 1.0, share, 1.0, 3)
