"""Finding people: CMC, mAP and mINP by the protocol of Market-1501, and retrieval among single images.

Features are rows of Euclidean length 1, compared by their inner product; equal ones rank in gallery order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Numbers = NDArray[np.int64]

JUNK = -1
"""Identity of a gallery image that counts neither for nor against: a bad detection."""
DISTRACTOR = 0
"""Identity of a gallery image of nobody in the queries: a wrong answer for all."""
UNKNOWN_CAMERA = -1

NOT_IN_GALLERY: Final = "not_in_gallery"
UNKNOWN_CAMERAS: Final = "unknown_cameras"
OWN_CAMERA: Final = "own_camera"
OWN_PICTURE: Final = "own_picture"
_CAUSES = {
    NOT_IN_GALLERY: "of people who are not in the gallery",
    UNKNOWN_CAMERAS: "of people whose cameras nobody knows, so that none is another one",
    OWN_CAMERA: "of people seen there by the query's own camera alone",
    OWN_PICTURE: "of people shown there by the query's own picture alone",
}


@dataclass(frozen=True)
class Retrieval:
    """Shares in [0, 1]; nothing else can be put in (`ValueError`)."""

    rank1: float
    rank5: float
    rank10: float
    mean_ap: float
    mean_inp: float
    """mean of hits / rank of the last hit (Ye et al., TPAMI 2021, section 2.3)"""
    queries: int
    """that have an answer in the gallery; the others are left out"""

    def __post_init__(self) -> None:
        shares = {name: value for name, value in asdict(self).items() if name != "queries"}
        if not all(0 <= value <= 1 for value in shares.values()):
            raise ValueError(f"shares lie between 0 and 1, got {shares}")

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class QueryScores(NamedTuple):
    """The queries that have an answer, in their order: whom each looks for (Q,), and its rank-1, 5, 10, AP and INP
    (Q, 5)."""

    identities: Numbers
    scores: NDArray[np.float64]

    def means(self) -> Retrieval:
        """Over all queries."""
        rank1, rank5, rank10, mean_ap, mean_inp = self.scores.mean(axis=0).tolist()
        return Retrieval(rank1, rank5, rank10, mean_ap, mean_inp, len(self.scores))


def evaluate(
    queries: Features,
    query_identities: Numbers,
    query_cameras: Numbers,
    gallery: Features,
    gallery_identities: Numbers,
    gallery_cameras: Numbers,
    chunk: int = 64,
) -> Retrieval:
    """Retrieval by the inner products of ``queries`` (Q, D) and ``gallery`` (G, D), measured as by `measure`.

    ``chunk`` queries are held against the gallery at a time: memory beside the features is 4 bytes for each of
    those pairs, and a few rows of G.

    Raises:
        ValueError: lengths differ, a feature is not finite, or no query has an answer.
    """
    if len(gallery) != len(gallery_identities) or len(queries) != len(query_identities):
        raise ValueError("each feature needs its identity")
    check_features(queries, gallery)
    rows = similarities(queries, gallery, chunk)
    return measure(rows, query_identities, query_cameras, gallery_identities, gallery_cameras)


def check_features(*sets: NDArray[np.floating[Any]]) -> None:
    """Raises ValueError where a feature of ``sets``, each (N, D), is not finite: nothing is near it or far from it."""
    for features in sets:
        bad = np.count_nonzero(~np.isfinite(features).all(axis=1))
        if bad:
            raise ValueError(f"{bad} of {len(features)} features are not finite")


def similarities(queries: Features, gallery: Features, chunk: int = 64) -> Iterator[Features]:
    """The inner products of each query with the gallery: (G,) for each row of ``queries``, in their order."""
    for rows in similarity_blocks(queries, gallery, chunk):
        yield from rows


def similarity_blocks(queries: Features, gallery: Features, chunk: int = 64) -> Iterator[Features]:
    """The same for ``chunk`` queries at a time, (chunk, G). Equal features get equal products: a matrix product rounds
    them by the place that they stand in, each processor its own way, so what is there several times goes in once."""
    kinds, places = np.unique(_firsts(gallery), return_inverse=True)
    several = len(kinds) < len(gallery)
    once = gallery[kinds].T if several else gallery.T
    for start in range(0, len(queries), chunk):
        rows = queries[start : start + chunk] @ once
        yield rows[:, places] if several else rows


def _firsts(features: Features) -> Numbers:
    """(N,): the number of the first row that is the same."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in features)
    return np.array([seen.setdefault(digest, number) for number, digest in enumerate(digests)], np.int64)


def measure(
    rows: Iterable[Features],
    query_identities: Numbers,
    query_cameras: Numbers,
    gallery_identities: Numbers,
    gallery_cameras: Numbers,
) -> Retrieval:
    """The means of `score_queries`; raises as it does."""
    return score_queries(rows, query_identities, query_cameras, gallery_identities, gallery_cameras).means()


def score_queries(
    rows: Iterable[Features],
    query_identities: Numbers,
    query_cameras: Numbers,
    gallery_identities: Numbers,
    gallery_cameras: Numbers,
) -> QueryScores:
    """Single-query retrieval (Zheng et al., "Scalable Person Re-identification", ICCV 2015, section 3.3).

    ``rows`` says for each query how like it every gallery image is, (G,), more is nearer. Gallery images of the same
    person by the same camera and junk (identity -1) are passed over; distractors stay. AP is the mean of the
    precisions at the hits. Identities and cameras are (Q,) and (G,).

    Raises:
        ValueError: no query has an answer, or a similarity is not finite: it has no place in an order.
    """
    junk = gallery_identities == JUNK
    identities, found = [], []
    for row, identity, camera in zip(rows, query_identities, query_cameras, strict=True):
        if not np.isfinite(row).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(row))} similarities of a query are not finite")
        same = gallery_identities == identity
        passed_over = (same & (gallery_cameras == camera)) | junk
        hits = np.flatnonzero(same & ~passed_over)
        if len(hits) and identity > DISTRACTOR:
            identities.append(identity)
            found.append(_scores(_ranks(np.where(passed_over, np.float32(-np.inf), row), hits)))
    if not found:
        causes = left_out(query_identities, query_cameras, gallery_identities, gallery_cameras)
        raise ValueError(f"no query has an answer in the gallery: {said_of(causes)}")
    return QueryScores(np.array(identities, np.int64), np.array(found))


def left_out(
    query_identities: Numbers,
    query_cameras: Numbers,
    gallery_identities: Numbers,
    gallery_cameras: Numbers,
    own: Literal["own_camera", "own_picture"] = OWN_CAMERA,
) -> dict[str, int]:
    """How many queries of people have no answer in the gallery, by the causes that there are; arguments as of
    `score_queries`. ``own`` says what the cameras stand for."""
    seen_by: dict[int, set[int]] = {}
    for identity, camera in zip(gallery_identities.tolist(), gallery_cameras.tolist(), strict=True):
        seen_by.setdefault(identity, set()).add(camera)
    causes: Counter[str] = Counter()
    for identity, camera in zip(query_identities.tolist(), query_cameras.tolist(), strict=True):
        if identity > DISTRACTOR and identity not in seen_by:
            causes[NOT_IN_GALLERY] += 1
        elif identity > DISTRACTOR and seen_by[identity] == {camera}:
            causes[UNKNOWN_CAMERAS if camera == UNKNOWN_CAMERA else own] += 1
    return dict(sorted(causes.items()))


def said_of(causes: Mapping[str, int]) -> str:
    """`left_out` in words."""
    told = (f"{count} {_CAUSES[cause]}" for cause, count in causes.items())
    return ", ".join(told) or "no query shows a person of a name"


def retrieval_rate(queries: Features, query_ids: Numbers, gallery: Features, gallery_ids: Numbers) -> float:
    """Share of ``queries`` (Q, D) whose nearest item of ``gallery`` (G, D) has their identity.

    With one real image of each of 100 people as the gallery and generated images as queries, it says how well the
    person survived.

    Raises:
        ValueError: either is empty, or holds what is not finite.
    """
    if not len(queries) or not len(gallery):
        raise ValueError("retrieval needs at least one query and one gallery item")
    check_features(queries, gallery)
    nearest = np.concatenate(
        [(queries[start : start + 256] @ gallery.T).argmax(1) for start in range(0, len(queries), 256)]
    )
    return float((gallery_ids[nearest] == query_ids).mean())


def _ranks(row: Features, hits: Numbers) -> Numbers:
    """Places, from 1, ascending, no two alike, of the items ``hits`` of ``row`` (G,) sorted from high to low.

    Values are sorted, not items: a vectorised sort is many times faster than the order that argsort gives.
    """
    rising, values = np.sort(row), row[hits]
    nearer = len(row) - np.searchsorted(rising, values, side="right")
    equal = len(row) - np.searchsorted(rising, values, side="left") - nearer
    for number in np.flatnonzero(equal > 1):  # before it come equal ones that stand earlier in the gallery
        nearer[number] += np.count_nonzero(row[: hits[number]] == values[number])
    return np.asarray(np.sort(nearer) + 1)


def _scores(ranks: Numbers) -> tuple[float, ...]:
    """Rank-1, 5, 10, AP and INP of one query whose hits have these ``ranks``, ascending."""
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return (*(float(ranks[0] <= last) for last in (1, 5, 10)), float(precisions.mean()), float(precisions[-1]))
