"""Evidence by hand, calibration on people whose truth is known, figures as torchmetrics has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

from pipeline.measures.reliability import (
    NOBODY,
    IdentityGallery,
    auroc,
    calibrate,
    expected_calibration_error,
    nearest_others,
    plant,
    reliability_diagram,
    weigh,
)

Features = np.ndarray


def people(count: int, images: int, noise: float, seed: int, of: Features | None = None) -> tuple[Features, Features]:
    """Features (count * images, 32) of length 1 around one centre each, and whose they are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 32)) if of is None else of
    numbers = np.repeat(np.arange(count), images)
    features = centres[numbers] + noise * rng.normal(size=(len(numbers), 32))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), numbers


def test_the_evidence_by_hand() -> None:
    similarities = np.array([[0.9, 0.4, 0.1], [0.2, 0.6, 0.5]])
    evidence = weigh(similarities, np.array([0, 2]), temperature=1.0)
    assert evidence.similarity == pytest.approx([0.9, 0.5])
    assert evidence.rank.tolist() == [1, 2]
    assert evidence.margin == pytest.approx([0.5, -0.1])
    chances = np.exp(similarities[0]) / np.exp(similarities[0]).sum()
    assert evidence.entropy[0] == pytest.approx(-(chances * np.log(chances)).sum())
    assert evidence.reliability[0] == pytest.approx(chances[0])
    sure = weigh(similarities, np.array([0, 2]), temperature=0.01)
    assert sure.entropy == pytest.approx([0.0, 0.0], abs=1e-2)
    assert sure.reliability == pytest.approx([1.0, 0.0], abs=1e-3)
    assert nearest_others(similarities, np.array([0, 2])).tolist() == [1, 1]


def test_the_image_left_out_does_not_count() -> None:
    features = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    gallery = IdentityGallery(features, np.array([0, 0, 1]))
    asked = features[[0, 0, 2]]
    found = gallery.similarities(asked, np.array([0, NOBODY, 2]))
    assert found[0] == pytest.approx([0.0, 0.6])
    assert found[1] == pytest.approx([np.sqrt(0.5), 0.6])
    assert found[2] == pytest.approx([1.4 * np.sqrt(0.5), 1.0])  # the only image of its identity has to do


def test_planted_identities_are_found_and_the_probability_is_one() -> None:
    """New images of known people, a fifth of them under somebody else's label, by a calibration that never saw them."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, 32))
    gallery = IdentityGallery(*people(60, 6, 0.9, 2, centres))
    calibration, measured = calibrate(gallery, wrong_share=0.2)
    made, own = people(60, 20, 0.9, 3, centres)
    wrong = rng.random(len(made)) < 0.2
    labels = np.where(wrong, (own + rng.integers(1, 60, size=len(own))) % 60, own)
    evidence = weigh(gallery.similarities(made, np.full(len(made), NOBODY)), labels, calibration.temperature)
    plausibility = calibration.plausibility(evidence)
    for scores in (plausibility, evidence.reliability):
        assert ((scores >= 0) & (scores <= 1)).all()
        assert auroc(scores, ~wrong) > 0.95
    assert expected_calibration_error(reliability_diagram(plausibility, ~wrong)) < 0.05
    assert measured["plausibility_auroc"] == pytest.approx(auroc(plausibility, ~wrong), abs=0.04)
    assert measured["plausibility_ece"] < 0.05


@pytest.mark.parametrize(("noise", "count"), [(0.9, 30), (2.5, 30), (5.0, 30), (2.5, 200)])
def test_reliability_is_the_share_on_whom_the_nearest_is_right(noise: float, count: int) -> None:
    """By strong models and weak ones, calibrated on 30 other people: who is nearest is right as often as is said, and
    nobody's label is believed whose person is not the nearest; plausibility believes it of a weak model."""
    rng = np.random.default_rng(0)
    calibration, measured = calibrate(IdentityGallery(*people(30, 20, noise, 5)), wrong_share=0.2)
    centres = rng.normal(size=(count, 32))
    gallery = IdentityGallery(*people(count, 20, noise, 6, centres))
    made, own = people(count, 10, noise, 7, centres)
    similarities = gallery.similarities(made, np.full(len(made), NOBODY))
    evidence = weigh(similarities, own, calibration.temperature)
    nearest = weigh(similarities, similarities.argmax(axis=1), calibration.temperature)
    diagram = reliability_diagram(nearest.reliability, similarities.argmax(axis=1) == own)
    assert (expected_calibration_error(diagram), measured["ece"]) == pytest.approx((0, 0), abs=0.08)
    assert (evidence.reliability <= 1 / evidence.rank + 1e-9).all()
    assert (evidence.rank[evidence.reliability > 0.5] == 1).all()
    further = (evidence.rank >= 6) & (evidence.rank <= 10)
    if noise > 2:
        assert evidence.reliability[further].mean() < 0.1 < 0.7 < calibration.plausibility(evidence)[further].mean()


def test_figures_of_a_calibration_are_of_the_nearest() -> None:
    """Kept apart: every second person. A right label is held against the nearest other, not against any."""
    gallery = IdentityGallery(*people(40, 6, 2.5, 8))
    _, measured = calibrate(gallery, wrong_share=0.2)
    kept = np.flatnonzero(gallery.identities % 2 == 1)
    similarities = gallery.similarities(gallery.features[kept], kept)
    nearest = similarities.argmax(axis=1) == gallery.identities[kept]
    assert sum(bar["share"] * bar["right"] for bar in measured["diagram"] if bar["share"]) == pytest.approx(
        nearest.mean()
    )
    assert measured["auroc"] < measured["plausibility_auroc"] - 0.1


def test_people_who_are_lost_are_unreliable() -> None:
    """A generator whose images show nobody known: every label is an accident."""
    gallery = IdentityGallery(*people(60, 6, 0.9, 2))
    calibration, _ = calibrate(gallery, wrong_share=0.2)
    strangers, numbers = people(60, 5, 0.9, 99)
    nobody = np.full(len(strangers), NOBODY)
    lost = weigh(gallery.similarities(strangers, nobody), numbers, calibration.temperature)
    real = plant(gallery, np.arange(len(gallery.identities)), calibration.temperature, seed=0)
    assert (
        calibration.plausibility(lost).mean() < 0.35 < 0.85 < calibration.plausibility(real.evidence)[real.right].mean()
    )
    assert lost.reliability.mean() < 0.1 < 0.85 < real.evidence.reliability[real.right].mean()


def test_more_wrong_labels_expected_make_every_label_less_believed() -> None:
    gallery = IdentityGallery(*people(40, 5, 1.2, 4))
    planted = plant(gallery, np.arange(200), 0.1, seed=0)
    few, many = (calibrate(gallery, share)[0].plausibility(planted.evidence) for share in (0.05, 0.5))
    assert many.mean() < few.mean()


def test_diagram_and_figures_are_those_of_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(500)
    right = rng.random(500) < scores**2
    diagram = reliability_diagram(scores, right)
    given = torch.from_numpy(scores), torch.from_numpy(right).long()
    ece = float(binary_calibration_error(*given, n_bins=10, norm="l1"))
    assert expected_calibration_error(diagram) == pytest.approx(ece, abs=1e-6)
    assert auroc(scores, right) == pytest.approx(float(binary_auroc(*given)), abs=1e-6)
    assert sum(bar.share for bar in diagram) == pytest.approx(1.0)


def test_a_diagram_by_hand() -> None:
    diagram = reliability_diagram(np.array([0.05, 0.95, 0.95, 1.0]), np.array([False, True, True, False]))
    assert [bar.share for bar in diagram] == [0.25, *[0.0] * 8, 0.75]
    assert diagram[9].right == pytest.approx(2 / 3)
    assert diagram[4].right is None
    assert expected_calibration_error(diagram) == pytest.approx(0.25 * 0.05 + 0.75 * (2.9 / 3 - 2 / 3))


def test_what_cannot_be_calibrated_is_refused() -> None:
    features, numbers = people(3, 1, 0.1, 0)
    with pytest.raises(ValueError, match="fewer than two"):
        IdentityGallery(features, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="four people, two images"):
        calibrate(IdentityGallery(features, numbers), 0.2)


def test_what_is_not_finite_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="no evidence"):
        weigh(np.array([[0.5, np.nan]]), np.array([0]), temperature=1.0)
    with pytest.raises(ValueError, match="1 of 2 features are not finite"):
        IdentityGallery(np.array([[1, 0], [np.inf, 0]], np.float32), np.array([0, 1]))
