"""Finding people: CMC, mAP and mINP by the protocol of Market-1501, and retrieval among single images.

Features are rows of Euclidean length 1, compared by their inner product; equal ones rank in gallery order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Numbers = NDArray[np.int64]

JUNK = -1
"""Identity of a gallery image that counts neither for nor against: a bad detection."""
DISTRACTOR = 0
"""Identity of a gallery image of nobody in the queries: a wrong answer for all."""


@dataclass(frozen=True)
class Retrieval:
    """Shares in [0, 1]."""

    rank1: float
    rank5: float
    rank10: float
    mean_ap: float
    mean_inp: float
    """mean of hits / rank of the last hit (Ye et al., TPAMI 2021, section 2.3)"""
    queries: int
    """that have an answer in the gallery; the others are left out"""

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def evaluate(
    queries: Features,
    query_identities: Numbers,
    query_cameras: Numbers,
    gallery: Features,
    gallery_identities: Numbers,
    gallery_cameras: Numbers,
    chunk: int = 64,
) -> Retrieval:
    """Single-query retrieval (Zheng et al., "Scalable Person Re-identification", ICCV 2015, section 3.3).

    For each query, gallery images of the same person by the same camera and junk (identity -1) are passed over;
    distractors stay. AP is the mean of the precisions at the hits. ``chunk`` queries (Q, D) are held against the
    gallery (G, D) at a time: some 40 bytes for each of their pairs. Identities and cameras are (Q,) and (G,).

    Raises:
        ValueError: lengths differ, or no query has an answer.
    """
    if len(gallery) != len(gallery_identities) or len(queries) != len(query_identities):
        raise ValueError("each feature needs its identity")
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(queries), chunk):
        part = slice(start, start + chunk)
        same = query_identities[part, None] == gallery_identities[None]
        passed_over = (same & (query_cameras[part, None] == gallery_cameras[None])) | (gallery_identities == JUNK)[None]
        similarity = queries[part] @ gallery.T
        similarity[passed_over] = -np.inf
        order = np.argsort(-similarity, axis=1, kind="stable")
        found.append(_scores(np.take_along_axis(same & ~passed_over, order, axis=1)))
    scores = np.concatenate(found) if found else np.empty((0, 5))
    if not len(scores):
        raise ValueError("no query has an answer in the gallery: nobody is seen there by another camera")
    rank1, rank5, rank10, mean_ap, mean_inp = scores.mean(axis=0).tolist()
    return Retrieval(rank1, rank5, rank10, mean_ap, mean_inp, len(scores))


def retrieval_rate(queries: Features, query_ids: Numbers, gallery: Features, gallery_ids: Numbers) -> float:
    """Share of ``queries`` (Q, D) whose nearest item of ``gallery`` (G, D) has their identity.

    With one real image of each of 100 people as the gallery and generated images as queries, it says how well the
    person survived.

    Raises:
        ValueError: either is empty.
    """
    if not len(queries) or not len(gallery):
        raise ValueError("retrieval needs at least one query and one gallery item")
    nearest = np.concatenate(
        [(queries[start : start + 256] @ gallery.T).argmax(1) for start in range(0, len(queries), 256)]
    )
    return float((gallery_ids[nearest] == query_ids).mean())


def _scores(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rank-1, 5, 10, AP and INP of each row of ``hits`` (Q, G), best first, that has one; -> (at most Q, 5)."""
    hits = hits[hits.any(axis=1)]
    ranks = np.arange(1, hits.shape[1] + 1)
    count = hits.cumsum(axis=1)
    total = count[:, -1]
    first = hits.argmax(axis=1)
    last = hits.shape[1] - hits[:, ::-1].argmax(axis=1)
    precision = (count / ranks * hits).sum(axis=1) / total
    return np.column_stack([first < 1, first < 5, first < 10, precision, total / last])
