"""How far the identity on an image's label can be believed, judged by a ReID model: evidence, then probabilities.

The evidence compares an image with the centre of each identity's real images. Centres rather than the model's own
classes: they do for a model that has never seen these people, and a model that was trained on them names whatever
resembles its training images. The image that a generated one was made from is left out of its identity's centre;
otherwise a copy of the source would look like proof.

``reliability`` is the probability that of all people the labelled one is shown: a softmax over everybody, whose
temperature is fitted on real images, their own image left out. It says what a name promises: above 1/2 nobody is
nearer, and the person of rank r gets at most 1/r. ``plausibility`` weighs the labelled person against one other at
random, after planted wrong labels: how likely a label is right where wrong ones were drawn by chance. Of a weak model
that is high for many who are not the nearest. What the model cannot recognise has a low reliability, whatever it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax
from scipy.stats import rankdata

from pipeline.reid.evaluation import Features, Numbers, check_features
from pipeline.training.randomness import SetStream, random_generator

Scores = NDArray[np.float64]

NOBODY = -1
"""In place of a gallery row: none is left out."""
BINS = 10
_SHRINKAGE = 1e-3


@dataclass(frozen=True)
class IdentityGallery:
    """Real images of known people: ``features`` (M, D) of length 1, ``identities`` (M,) numbered from 0 without gaps.

    Raises:
        ValueError: fewer than two identities, so that nobody could be taken for another; a feature is not finite.
    """

    features: Features
    identities: Numbers

    def __post_init__(self) -> None:
        if len(np.unique(self.identities)) < 2:
            raise ValueError("identities cannot be told apart with fewer than two of them")
        check_features(self.features)

    @property
    def sums(self) -> Scores:
        """(K, D): sum of each identity's features."""
        sums = np.zeros((int(self.identities.max()) + 1, self.features.shape[1]))
        np.add.at(sums, self.identities, self.features)
        return sums

    def similarities(self, features: Features, left_out: Numbers) -> Scores:
        """Cosines (N, K) of ``features`` (N, D), of length 1, to the identities' centres.

        ``left_out`` (N,) is for each row the gallery row that does not count, or `NOBODY`. It counts after all where
        its identity has no other image.
        """
        sums = self.sums
        found: Scores = features.astype(np.float64) @ _unit(sums).T
        rows = np.flatnonzero(left_out != NOBODY)
        people = self.identities[left_out[rows]]
        several = np.bincount(self.identities)[people] > 1
        rows, people = rows[several], people[several]
        centres = _unit(sums[people] - self.features[left_out[rows]])
        found[rows, people] = (features[rows] * centres).sum(axis=1)
        return found


class Evidence(NamedTuple):
    """What speaks for the label of each image; arrays (N,)."""

    similarity: Scores
    """cosine to the centre of the labelled identity"""
    rank: Scores
    """of the labelled identity among all by similarity; 1: none is nearer"""
    margin: Scores
    """its similarity less that of the nearest other; above 0 at rank 1"""
    entropy: Scores
    """of the identities' probabilities, nats"""
    reliability: Scores
    """the probability of the labelled identity among all, in [0, 1]"""


def weigh(similarities: Scores, labels: Numbers, temperature: float) -> Evidence:
    """The evidence for ``labels`` (N,) in ``similarities`` (N, K); probabilities are a softmax of these over
    ``temperature``.

    Raises:
        ValueError: a similarity is not finite: every label would be of rank 1.
    """
    if not np.isfinite(similarities).all():
        raise ValueError("similarities that are not finite are no evidence")
    rows = np.arange(len(labels))
    own = similarities[rows, labels]
    others = similarities.copy()
    others[rows, labels] = -np.inf
    nearest = others.max(axis=1)
    chances = log_softmax(similarities / temperature, axis=1)
    entropy = -(np.exp(chances) * chances).sum(axis=1)
    rank = 1.0 + (others >= own[:, None]).sum(axis=1)
    return Evidence(own, rank, own - nearest, np.abs(entropy), np.exp(chances[rows, labels]))


def nearest_others(similarities: Scores, labels: Numbers) -> Numbers:
    """(N,): of all identities but that of ``labels`` (N,) the one that is nearest by ``similarities`` (N, K)."""
    others = similarities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return np.asarray(others.argmax(axis=1))


@dataclass(frozen=True)
class Calibration:
    """Evidence -> the probability that the label is right, if a wrong one is somebody else at random: a logistic
    function of similarity and margin (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).

    Rank says no more than the sign of the margin and depends, as entropy does, on how many identities there are.
    """

    intercept: float
    similarity: float
    margin: float
    temperature: float
    """of the identities' probabilities"""
    wrong_share: float
    """share of wrong labels that was assumed"""

    def plausibility(self, evidence: Evidence) -> Scores:
        """(N,) in [0, 1]."""
        scores = self.intercept + self.similarity * evidence.similarity + self.margin * evidence.margin
        return np.asarray(expit(scores))

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Planted:
    """Real images under labels whose truth is known: the evidence for each and whether it is ``right`` (N,) bool."""

    evidence: Evidence
    right: NDArray[np.bool_]


def fit_temperature(gallery: IdentityGallery, rows: Numbers, doubts: float = 0.0) -> float:
    """The temperature under which the right identities of the gallery's ``rows`` are likeliest (Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, section 4.2).

    ``doubts`` more images are taken to be of the nearest other: where nobody is mistaken, what was not seen among so
    few would else be held for impossible.
    """
    similarities = gallery.similarities(gallery.features[rows], rows)
    places, own = np.arange(len(rows)), gallery.identities[rows]
    others = nearest_others(similarities, own)

    def surprise(log_temperature: float) -> float:
        chances = log_softmax(similarities / np.exp(log_temperature), axis=1)
        right, wrong = chances[places, own].mean(), chances[places, others].mean()
        return -float(len(rows) * right + doubts * wrong) / (len(rows) + doubts)

    return float(np.exp(minimize_scalar(surprise, bounds=(-6.0, 2.0), method="bounded").x))


def plant(
    gallery: IdentityGallery,
    rows: Numbers,
    temperature: float,
    seed: int,
    other: Literal["random", "nearest"] = "random",
) -> Planted:
    """The gallery's ``rows`` twice, as if they were not in it: under their own label and then under another, that of
    somebody at random or of whoever is nearest."""
    own = gallery.identities[rows]
    similarities = gallery.similarities(gallery.features[rows], rows)
    if other == "nearest":
        wrong = nearest_others(similarities, own)
    else:
        people = similarities.shape[1]
        moved = random_generator(seed, SetStream.WRONG_LABELS).integers(1, people, size=len(rows))
        wrong = (own + moved) % people
    both = [weigh(similarities, labels, temperature) for labels in (own, wrong)]
    evidence = Evidence(*(np.concatenate(pair) for pair in zip(*both, strict=True)))
    return Planted(evidence, np.repeat([True, False], len(rows)))


def fit_calibration(planted: Planted, temperature: float, wrong_share: float = 0.2) -> Calibration:
    """The calibration for data of which ``wrong_share`` is wrongly labelled, whatever the share in ``planted``.

    Raises:
        ValueError: all of ``planted`` is right, or all wrong; no finite calibration fits it.
    """
    right = planted.right
    if right.all() or not right.any():
        raise ValueError("a calibration needs right and wrong labels")
    weights = np.where(right, (1 - wrong_share) / right.sum(), wrong_share / (~right).sum())
    inputs = np.column_stack([np.ones(len(right)), planted.evidence.similarity, planted.evidence.margin])
    signs = np.where(right, 1.0, -1.0)

    def loss(coefficients: Scores) -> tuple[float, Scores]:
        scores = signs * (inputs @ coefficients)
        shrinkage = _SHRINKAGE * coefficients[1:]
        slope = -(weights * signs * expit(-scores)) @ inputs
        slope[1:] += shrinkage
        value = float(weights @ np.logaddexp(0.0, -scores) + 0.5 * shrinkage @ coefficients[1:])
        return value, slope

    found = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B").x
    if not np.isfinite(found).all():
        raise ValueError("the calibration's coefficients are not finite")
    return Calibration(float(found[0]), float(found[1]), float(found[2]), temperature, wrong_share)


class Bin(NamedTuple):
    """One bar of a reliability diagram: images whose probability is in [low, high), the mean of it, and the share of
    them that is labelled right. Shares of nothing are None."""

    low: float
    high: float
    share: float
    reliability: float | None
    right: float | None


def reliability_diagram(reliability: Scores, right: NDArray[np.bool_], weights: Scores | None = None) -> list[Bin]:
    """`BINS` bars of equal width (DeGroot and Fienberg, 1983); ``weights`` (N,) of the images, by default equal."""
    weights = np.full(len(right), 1.0) if weights is None else weights
    places = np.minimum((reliability * BINS).astype(np.int64), BINS - 1)
    bars = []
    for place in range(BINS):
        chosen = places == place
        total = float(weights[chosen].sum())
        means = [float(weights[chosen] @ one[chosen] / total) if total else None for one in (reliability, right)]
        bars.append(Bin(place / BINS, (place + 1) / BINS, total / float(weights.sum()), *means))
    return bars


def expected_calibration_error(diagram: list[Bin]) -> float:
    """Mean over the images of the gap between a bar's reliability and its share of right labels (Naeini et al., AAAI
    2015)."""
    return sum(bar.share * abs(bar.reliability - bar.right) for bar in diagram if bar.share)  # type: ignore[operator]


def auroc(scores: Scores, right: NDArray[np.bool_]) -> float:
    """Chance that a right label scores above a wrong one, ties counting half; nan where one kind is missing."""
    positives, negatives = int(right.sum()), int((~right).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[right].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibrate(gallery: IdentityGallery, wrong_share: float, seed: int = 0) -> tuple[Calibration, Mapping[str, Any]]:
    """The calibration by every second identity of ``gallery``, and how it does on the others.

    ``auroc`` is the chance that a right label is more reliable than that of the nearest other; ``ece`` and ``diagram``
    hold the reliability of whoever is nearest against the share of images on which that is the right person (Guo et
    al.). ``plausibility_auroc`` and ``plausibility_ece`` are of own labels against random ones, ``wrong_share`` of
    them expected.

    Raises:
        ValueError: nobody of one half has two images, so that one could be left out.
    """
    counts = np.bincount(gallery.identities)
    several = np.flatnonzero(counts[gallery.identities] > 1)
    halves = [several[gallery.identities[several] % 2 == part] for part in (0, 1)]
    if not all(len(rows) for rows in halves):
        raise ValueError("a calibration needs four people, two images of each")
    temperature = fit_temperature(gallery, halves[0], doubts=1)
    fitted, kept = (plant(gallery, rows, temperature, seed) for rows in halves)
    calibration = fit_calibration(fitted, temperature, wrong_share)
    plausibility = calibration.plausibility(kept.evidence)
    weights = np.where(kept.right, 1 - wrong_share, wrong_share)
    by_chance = reliability_diagram(plausibility, kept.right, weights)
    hardest = plant(gallery, halves[1], temperature, seed, "nearest")
    own, other = np.split(hardest.evidence.reliability, 2)
    diagram = reliability_diagram(np.maximum(own, other), own > other)
    return calibration, {
        "auroc": auroc(hardest.evidence.reliability, hardest.right),
        "ece": expected_calibration_error(diagram),
        "plausibility_auroc": auroc(plausibility, kept.right),
        "plausibility_ece": expected_calibration_error(by_chance),
        "diagram": [bar._asdict() for bar in diagram],
    }


def _unit(vectors: Scores) -> Scores:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
