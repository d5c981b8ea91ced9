from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.exports.samplers import IdentitySampler, RowGroupSampler

LABELS = np.repeat([4, -1, 0, 2, 9, 7], [10, 6, 3, 1, 4, 8])


def check_batches(labels: np.ndarray, batches: list[list[int]], people: int, images: int) -> None:
    """P people with K images in each batch, each row as its label says."""
    for batch in batches:
        assert len(batch) == people * images
        met = Counter(labels[batch].tolist())
        assert len(met) == people
        assert set(met.values()) == {images}
        assert -1 not in met


def test_each_batch_has_p_people_with_k_images() -> None:
    sampler = IdentitySampler(LABELS, people=3, images=2)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 4
    check_batches(LABELS, batches, 3, 2)
    assert all(isinstance(row, int) for batch in batches for row in batch)


def test_a_person_of_one_image_is_shown_with_it_alone() -> None:
    labels = np.array([0, 1, 1, 1])
    ((*rows,),) = IdentitySampler(labels, people=2, images=3)
    assert sorted(rows) == [0, 0, 0, 1, 2, 3]


def test_where_everybody_has_as_many_images_each_is_seen_once() -> None:
    labels = np.repeat(np.arange(6), 8)
    batches = list(IdentitySampler(labels, people=3, images=4))
    assert sorted(np.concatenate(batches).tolist()) == list(range(48))


def test_the_same_seed_and_epoch_give_the_same_batches() -> None:
    first, second = (IdentitySampler(LABELS, 2, 2, seed=5) for _ in range(2))
    assert list(first) == list(second) == list(first)
    first.set_epoch(1)
    assert list(first) != list(second)
    second.set_epoch(1)
    assert list(first) == list(second)
    assert list(IdentitySampler(LABELS, 2, 2, seed=6)) != list(IdentitySampler(LABELS, 2, 2, seed=5))


def test_processes_share_the_batches_without_overlap() -> None:
    labels = np.repeat(np.arange(10), 8)
    alone = list(IdentitySampler(labels, 2, 4, seed=3))
    ranks = [list(IdentitySampler(labels, 2, 4, seed=3, rank=rank, world_size=3)) for rank in range(3)]
    assert [len(batches) for batches in ranks] == [3, 3, 3]
    assert [batch for together in zip(*ranks, strict=True) for batch in together] == alone[:9]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_any_set_of_people_gives_as_many_batches_as_it_says(
    counts: list[int], people: int, images: int, world_size: int
) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    hands = [-(-count // images) for count in counts]
    possible = max((n for n in range(sum(hands) + 1) if sum(min(hand, n) for hand in hands) >= n * people), default=0)
    if possible < world_size:
        with pytest.raises(ValueError, match=f"do not make a batch of {people} for each of {world_size}"):
            IdentitySampler(labels, people, images, world_size=world_size)
        return
    sampler = IdentitySampler(labels, people, images, rank=world_size - 1, world_size=world_size)
    batches = list(sampler)
    assert len(batches) == len(sampler) == possible // world_size
    check_batches(labels, batches, people, images)


@pytest.mark.parametrize("labels", [[], [-1, -1], [3, 3, 3]])
def test_too_few_people_are_said(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="identities do not make a batch of 2"):
        IdentitySampler(labels, people=2)


@pytest.mark.parametrize("wrong", [{"people": 0}, {"images": 0}, {"rank": 1}, {"rank": -1, "world_size": 2}])
def test_sampler_settings_that_make_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no batches of"):
        IdentitySampler(LABELS, **wrong)


GROUPS = np.repeat(np.arange(10), 7)


def test_row_groups_are_shuffled_window_by_window() -> None:
    sampler = RowGroupSampler(GROUPS, window=2, seed=1)
    rows = list(sampler)
    assert len(sampler) == 70
    assert sorted(rows) == list(range(70))
    windows = GROUPS[rows].reshape(5, 14)
    assert [len(set(window.tolist())) for window in windows] == [2] * 5
    assert any(np.any(np.diff(window) != 0) and len(np.flatnonzero(np.diff(window))) > 1 for window in windows)
    assert rows == list(sampler)
    sampler.set_epoch(1)
    assert rows != list(sampler)


def test_processes_get_row_groups_of_their_own_and_as_many_rows() -> None:
    ranks = [list(RowGroupSampler(GROUPS, window=3, rank=rank, world_size=4)) for rank in range(4)]
    assert [len(rows) for rows in ranks] == [17] * 4
    assert len(set(np.concatenate(ranks).tolist())) == 68
    assert max(len(set(GROUPS[rows].tolist())) for rows in ranks) <= 4


def test_rows_that_were_selected_are_the_ones_sampled() -> None:
    assert sorted(RowGroupSampler([0, 0, 5, 9, 9])) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [{"window": 0}, {"rank": 2, "world_size": 2}])
def test_windows_that_make_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no rows in windows of"):
        RowGroupSampler(GROUPS, **wrong)
