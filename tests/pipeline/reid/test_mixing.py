"""Real and generated images in the batches: the shares and weights of each paper's mix."""

from __future__ import annotations

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
    with pytest.raises(UserError, match="belongs to --mix shuffled"):
        MixSettings(mix="two_means", synthetic_per_real=2)
