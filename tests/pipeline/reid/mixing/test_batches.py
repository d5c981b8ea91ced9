"""Real and generated images in the batches: the shares and weights of each paper's mix."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap, expand, lsro, one_hot
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import MixSettings, mixed_batches, spread_choice
from pipeline.reid.sets import LabelledImages, TrainingSets

PLAIN = AugmentationSettings(padding=0, flip=0, erasing=0)


def sets(real: int, generated: int, people: int = 2) -> TrainingSets:
    """Images that are their row number: of ``people``, then of nobody."""
    images = np.arange(real + generated, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 2, 3), np.uint8)
    labels = one_hot(np.arange(real) % people, people), lsro(generated, people)
    targets = np.concatenate([expand(columns, people) for columns in labels])
    shown = np.concatenate([np.asarray(columns["hard_label"]) for columns in labels])
    return TrainingSets(LabelledImages(images, targets, shown), real, ClassMap(tuple("abcdef"[:people])), {})


def rows(batch: dict[str, np.ndarray]) -> list[int]:
    return batch["image"][:, 0, 0, 0].tolist()


def test_shuffled_is_one_pool_in_which_all_weigh_the_same() -> None:
    batches = mixed_batches(sets(4, 8), 1, MixSettings(), PLAIN)
    epoch = [batches.batch(step, 6) for step in range(2)]
    assert sorted(row for batch in epoch for row in rows(batch)) == list(range(12))
    assert all(batch["weight"] == pytest.approx(np.full(6, 1 / 6)) for batch in epoch)
    assert not all(row < 4 for row in rows(epoch[0])[:4])


def test_so_many_generated_images_for_each_real_one() -> None:
    batches = mixed_batches(sets(4, 40), 1, MixSettings(synthetic_per_real=2), PLAIN)
    seen = {row for step in range(4) for row in rows(batches.batch(step, 6))}  # two epochs of 12
    assert len(seen) == 12
    assert {0, 1, 2, 3} < seen
    again = mixed_batches(sets(4, 40), 1, MixSettings(synthetic_per_real=2), PLAIN)
    assert rows(again.batch(3, 6)) == rows(batches.batch(3, 6))
    other = mixed_batches(sets(4, 40), 2, MixSettings(synthetic_per_real=2), PLAIN)
    assert {row for step in range(2) for row in rows(other.batch(step, 6))} != seen


@pytest.mark.parametrize(("count", "most"), [(40, 8), (40, 39), (7, 3), (5, 5), (3, 9)])
def test_a_choice_is_spread_over_the_rows(count: int, most: int) -> None:
    chosen = spread_choice(count, most, seed=3)
    assert len(set(chosen.tolist())) == min(count, most)
    assert ((chosen >= 0) & (chosen < count)).all()
    stretches = chosen * min(count, most) / count
    assert np.abs(stretches - np.arange(len(chosen))).max() <= 1


def test_two_means_are_three_to_one_and_weigh_the_same() -> None:
    batches = mixed_batches(sets(9, 5), 1, MixSettings(mix="two_means"), PLAIN)
    seen: list[int] = []
    for step in range(15):
        batch = batches.batch(step, 8)
        drawn = rows(batch)
        assert all(row < 9 for row in drawn[:6])
        assert all(row >= 9 for row in drawn[6:])
        assert batch["weight"] == pytest.approx([1 / 6] * 6 + [1 / 2] * 2)
        assert (batch["target"][6:] == 0.5).all()
        seen += drawn
    assert [seen.count(row) for row in range(14)] == [10] * 9 + [6] * 5, "each kind has its own epochs"


@pytest.mark.parametrize(("ratio", "size", "generated"), [(1, 8, 4), (100, 8, 1), (0.01, 8, 7), (3, 32, 8)])
def test_both_kinds_are_in_every_batch(ratio: float, size: int, generated: int) -> None:
    mix = MixSettings(mix="two_means", real_to_synthetic=ratio)
    drawn = rows(mixed_batches(sets(5, 5), 1, mix, PLAIN).batch(0, size))
    assert sum(row >= 5 for row in drawn) == generated


def test_mixes_of_what_is_not_there_are_refused() -> None:
    for asked, real, generated, lacking in (
        (MixSettings(mix="two_means"), 4, 0, "generated"),
        (MixSettings(mix="two_means"), 0, 4, "real"),
        (MixSettings(synthetic_per_real=2), 0, 4, "real"),
    ):
        with pytest.raises(UserError, match=f"the training sets hold no {lacking} ones"):
            mixed_batches(sets(real, generated), 1, asked)
    people = sets(4, 4)
    assert people.images.people is not None
    people.images.people[4:] = 1
    with pytest.raises(UserError, match="generated images of nobody, and all of them show somebody"):
        mixed_batches(people, 1, MixSettings(nobody_labels="mprl"), steps=10)
    with pytest.raises(UserError, match="--steps 2 are too few for these shares: none is left with generated images"):
        mixed_batches(sets(4, 4), 1, MixSettings(synthetic_from=0.9), steps=2)
    brief = {"real_from": 0.3, "synthetic_until": 0.34}
    for mix in (MixSettings(mix="two_means", **brief), MixSettings(synthetic_weight=0.1, **brief)):
        assert [stage.real and stage.generated for stage in mix.stages(100)] == [False, True, False]
        with pytest.raises(UserError, match="--steps 10 are too few for these shares: none is left with both kinds"):
            mixed_batches(sets(4, 4), 1, mix, steps=10)


def weights(batch: dict[str, np.ndarray], generated: bool) -> np.ndarray:
    return batch["weight"][batch["generated"] == generated]


@pytest.mark.parametrize("weight", [1.0, 0.1, 3.0])
def test_a_weight_is_what_a_generated_image_counts_against_a_real_one(weight: float) -> None:
    """In every mix real images weigh what they weigh without it: 1 over the pool's batch, or over M."""
    pool = mixed_batches(sets(6, 6), 1, MixSettings(synthetic_weight=weight), PLAIN).batch(0, 12)
    assert weights(pool, False) == pytest.approx(np.full(6, 1 / 12))
    assert weights(pool, True) == pytest.approx(np.full(6, weight / 12))
    mix = MixSettings(mix="two_means", synthetic_weight=weight)
    means = mixed_batches(sets(9, 5), 1, mix, PLAIN).batch(0, 8)
    assert weights(means, False) == pytest.approx(np.full(6, 1 / 6))
    assert weights(means, True) == pytest.approx(np.full(2, weight / 6))


def test_two_means_as_published_weigh_as_m_over_n() -> None:
    published = mixed_batches(sets(9, 5), 1, MixSettings(mix="two_means"), PLAIN).batch(0, 8)
    asked = mixed_batches(sets(9, 5), 1, MixSettings(mix="two_means", synthetic_weight=3), PLAIN).batch(0, 8)
    assert published["weight"] == pytest.approx(asked["weight"])
    assert published["weight"].sum() == pytest.approx(2)


def test_each_image_is_weighed_by_its_own_score_besides() -> None:
    data = sets(4, 4)
    scores = np.array([1, 1, 1, 1, 0.4, 1.6, 0, 2], np.float32)
    data = replace(data, images=replace(data.images, weights=scores))
    for mix, share in ((MixSettings(), 1 / 8), (MixSettings(synthetic_weight=0.5), 0.5 / 8)):
        batch = mixed_batches(data, 1, mix, PLAIN).batch(0, 8)
        found = dict(zip(rows(batch), batch["weight"].tolist(), strict=True))
        assert [found[row] for row in range(4, 8)] == pytest.approx((scores[4:] * share).tolist())
        assert [found[row] for row in range(4)] == pytest.approx([1 / 8] * 4)
    assert data.images.digest() != sets(4, 4).images.digest()


def test_an_additive_batch_is_so_much_larger() -> None:
    mix = MixSettings(mix="two_means", synthetic_batch="additive", real_to_synthetic=128 / 46)
    batches = mixed_batches(sets(200, 50), 1, mix, PLAIN)
    batch = batches.batch(0, 128)
    assert batch["generated"].tolist() == [0] * 128 + [1] * 46
    assert [row >= 200 for row in rows(batch)] == [False] * 128 + [True] * 46
    assert batch["weight"] == pytest.approx([1 / 128] * 128 + [1 / 46] * 46)
    batches.check(128, workers=2)
    with pytest.raises(UserError, match="46 generated images of a batch cannot be shared by 4 workers"):
        batches.check(128, workers=4)


def test_stages_are_whole_batches_of_one_kind() -> None:
    mix = MixSettings(real_from=0.25, synthetic_until=0.75, synthetic_weight=0.5)
    batches = mixed_batches(sets(6, 6), 1, mix, PLAIN, steps=8)
    kinds = [set(batches.batch(step, 6)["generated"].tolist()) for step in range(8)]
    assert kinds == [{1}] * 2 + [{0, 1}] * 4 + [{0}] * 2
    # Alone either kind weighs as a mean; the weight is against real images beside it.
    assert batches.batch(1, 6)["weight"] == pytest.approx(np.full(6, 1 / 6))
    assert batches.batch(7, 6)["weight"] == pytest.approx(np.full(6, 1 / 6))
    assert weights(batches.batch(3, 6), True) == pytest.approx(0.5 / 6)
    assert np.array_equal(batches.batch(9, 6)["generated"], np.zeros(6)), "the last stage has no end"


def test_late_images_leave_batches_of_two_means_full_of_real_ones() -> None:
    mix = MixSettings(mix="two_means", synthetic_from=0.5)
    batches = mixed_batches(sets(9, 5), 1, mix, PLAIN, steps=4)
    assert [batches.batch(step, 8)["generated"].sum() for step in range(4)] == [0, 0, 2, 2]
    assert batches.batch(1, 8)["weight"] == pytest.approx(np.full(8, 1 / 8))
    assert batches.batch(2, 8)["weight"] == pytest.approx([1 / 6] * 6 + [1 / 2] * 2)


@pytest.mark.parametrize(
    ("mix", "digest"),
    [
        (MixSettings(), "fcc8697e5ab2fe3e"),
        (MixSettings(synthetic_per_real=1.5), "8a789b71c0ff7e9a"),
        (MixSettings(mix="two_means"), "8b896f66fcae45b7"),
    ],
)
def test_mixes_without_further_settings_have_the_bytes_that_they_had(mix: MixSettings, digest: str) -> None:
    batches, found = mixed_batches(sets(9, 20), 1, mix), hashlib.sha256()
    for step in range(5):
        batch = batches.batch(step, 8)
        for name in ("image", "target", "weight", "person"):
            found.update(batch[name].tobytes())
    assert found.hexdigest()[:16] == digest
