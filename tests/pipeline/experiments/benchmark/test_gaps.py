"""Which arms are tried and what each is held against."""

from __future__ import annotations

import re

import pytest

from manifests.errors import UserError
from pipeline.experiments.benchmark.arms import BASELINE, ONE_REAL, TWO_REAL
from pipeline.experiments.benchmark.gaps import DOMAINS, GAPS, POSES, TWO_CAMERAS, find_gaps


def test_every_arm_is_held_against_one_without_images() -> None:
    for gap in GAPS.values():
        assert gap.baselines[0] == BASELINE
        assert BASELINE.against is None
        for arm in gap.arms:
            assert arm.against in gap.baselines
            assert arm.against is not None
            assert arm.against.recipe is None


def test_two_networks_are_held_against_two_real_ones_and_these_against_one() -> None:
    against = {arm.name: arm.against for arm in POSES.arms}
    assert against["pngan"] == TWO_REAL
    assert against["pngan-mixed"] == BASELINE == TWO_REAL.against
    assert DOMAINS.baselines == (BASELINE,)


def test_beside_every_fusion_stand_one_network_and_two_without_images() -> None:
    assert POSES.baselines == (BASELINE, ONE_REAL, TWO_REAL)
    for name in ("pngan", "pngan-one-network", "pngan-mean"):
        assert find_gaps(["poses"], [name])[0].baselines == (BASELINE, ONE_REAL, TWO_REAL)
    assert find_gaps(["poses"], ["pngan-mixed"])[0].baselines == (BASELINE,)
    against = {arm.name: arm.against for arm in POSES.arms}
    assert against["pngan-one-network"] == ONE_REAL
    assert against["pngan-mean"] == BASELINE == ONE_REAL.against, "the mean of a feature and itself is that feature"


def test_every_gap_has_a_ceiling_beside_its_generators() -> None:
    assert all(any(arm.drawn for arm in gap.arms) for gap in GAPS.values())


def test_arms_that_differ_in_the_mix_share_their_images() -> None:
    assert len({arm.images for arm in POSES.arms if arm.recipe == "pngan"}) == 1
    smoothed, hard = TWO_CAMERAS.arms[:2]
    assert smoothed.images != hard.images


def test_one_question_has_one_arm() -> None:
    (gap,) = find_gaps(["few-images"], ["cgan"])
    assert [one.name for one in gap.arms] == ["cgan"]
    assert gap.baselines == (BASELINE,)
    assert [gap.name for gap in find_gaps([], ["camstyle"])] == ["two-cameras", "four-cameras"]


def test_an_arm_in_other_settings_is_an_arm_of_its_own_on_the_same_images() -> None:
    (gap,) = find_gaps(["two-cameras"], ["camstyle"], ["synthetic_weight=1", "mix=+real_to_synthetic=+real_from=0.3"])
    plain, weighed, staged = gap.arms
    assert weighed.name == "camstyle+synthetic_weight=1"
    assert weighed.mix == {"mix": "two_means", "real_to_synthetic": 3.0, "synthetic_weight": 1.0}
    assert staged.mix == {"real_from": 0.3}, "of the mix by default"
    assert plain.images == weighed.images == staged.images
    (gap,) = find_gaps(["domains"], ["ptgan"], ["synthetic_weight=1"])
    assert len(gap.arms) == 1, "without real rows nothing is mixed"


def test_a_variant_without_sense_is_told() -> None:
    with pytest.raises(
        UserError, match="--variants weigh_by of camstyle: weigh_by says no value; weigh_by= is the def"
    ):
        find_gaps(["two-cameras"], ["camstyle"], ["weigh_by"])
    with pytest.raises(UserError, match="--variants synthetic_wait=1 of camstyle: --synthetic-wait"):
        find_gaps(["two-cameras"], ["camstyle"], ["synthetic_wait=1"])
    with pytest.raises(UserError, match="--synthetic-per-real belongs to --mix shuffled"):
        find_gaps(["two-cameras"], ["camstyle"], ["synthetic_per_real=1"])
    with pytest.raises(UserError, match="of camstyle: a mix has no setting 'nonsense'"):
        find_gaps(["two-cameras"], ["camstyle"], ["nonsense="])
    with pytest.raises(UserError, match="of cgan: its images show nobody in particular, so they have no reliability"):
        find_gaps(["few-images"], ["cgan"], ["weigh_by=reliability"])


def test_fewer_people_to_train_on_are_no_more_than_the_gap_has() -> None:
    gaps = {gap.name: gap for gap in find_gaps([], people=100)}
    assert (gaps["few-images"].people, gaps["poses"].people) == (60, 100)
    sets = gaps["domains"].sets
    assert sets["train"].people == sets["target"].people == 100
    assert sets["unlabelled"] == DOMAINS.sets["unlabelled"]
    assert sets["test"] == DOMAINS.sets["test"]
    assert find_gaps([]) == list(GAPS.values())


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    assert [gap.name for gap in find_gaps(["poses", "domains"])] == ["domains", "poses"]
    assert len(find_gaps([])) == len(GAPS)
    with pytest.raises(UserError, match="unknown gap 'night'; known: few-images"):
        find_gaps(["night"])
    with pytest.raises(UserError, match="unknown arm 'cgan'; known: cyclegan, ptgan"):
        find_gaps(["domains"], ["cgan"])


def test_a_name_fits_a_folder_and_a_list_of_the_command_line() -> None:
    names = [arm.name for gap in GAPS.values() for arm in (*gap.baselines, *gap.arms)]
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in names)
    assert all(len({arm.name for arm in gap.arms}) == len(gap.arms) for gap in GAPS.values())
