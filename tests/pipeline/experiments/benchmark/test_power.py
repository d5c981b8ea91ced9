"""Standard errors of paired differences: worked by hand where one level varies, and over many planted worlds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from pipeline.experiments.benchmark.power import POWER, Effect, Paired, paired_effect, worlds_needed


def world(*differences: float, people: list[int] | None = None) -> Paired:
    values = np.array([differences])
    return Paired(values, np.arange(values.shape[1]) if people is None else np.array(people))


def test_worlds_alone_vary() -> None:
    found = paired_effect([world(*[mean] * 20) for mean in (0.04, 0.06, 0.02)])
    assert found.mean == pytest.approx(0.04)
    assert found.worlds == pytest.approx((0.04, 0.06, 0.02))
    assert found.error == pytest.approx(0.02 / 3**0.5, rel=0.03), "the sample deviation over the root of three"
    # Student's t with two degrees of freedom: 4.303 for the level, 1.061 for the power.
    assert found.detectable == pytest.approx((4.303 + 1.061) * found.error, rel=1e-3)
    assert found.interval == pytest.approx((0.04 - 4.303 * found.error, 0.04 + 4.303 * found.error), rel=1e-3)


def test_queries_alone_vary() -> None:
    hits = [1.0] * 20 + [0.0] * 80
    found = paired_effect([world(*hits)])
    assert found.error == pytest.approx((0.2 * 0.8 / 100) ** 0.5, rel=0.05), "a binomial share of 100"
    assert found.interval[0] < 0.2 < found.interval[1]
    assert found.interval[1] - found.interval[0] == pytest.approx(2 * 1.96 * 0.04, rel=0.1)
    assert found.detectable == pytest.approx((1.96 + 0.84) * found.error, rel=0.01)


def test_queries_of_one_person_are_one_draw() -> None:
    alone = paired_effect([world(*[1.0] * 20, *[0.0] * 80)])
    in_fours = paired_effect([world(*[1.0] * 20, *[0.0] * 80, people=[number // 4 for number in range(100)])])
    assert in_fours.error == pytest.approx(2 * alone.error, rel=0.08), "a quarter of the draws"


def test_trainings_alone_vary() -> None:
    one = Paired(np.repeat([[0.1], [0.2], [0.3]], 10, axis=1), np.arange(10))
    found = paired_effect([one])
    assert found.mean == pytest.approx(0.2)
    assert found.error == pytest.approx(np.std([0.1, 0.2, 0.3]) / 3**0.5, rel=0.05)


def test_the_error_is_that_of_many_repetitions() -> None:
    rng = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(120):
        shifts = rng.normal(0.03, 0.02, 4)
        worlds = [Paired(rng.normal(shift, 0.3, (1, 120)), np.arange(120)) for shift in shifts]
        found = paired_effect(worlds, draws=200)
        means.append(found.mean)
        errors.append(found.error)
    true = (0.02**2 + 0.3**2 / 120) ** 0.5 / 2
    assert np.std(means) == pytest.approx(true, rel=0.15)
    assert np.mean(np.square(errors)) ** 0.5 == pytest.approx(true, rel=0.15), "neither level is counted twice"


def test_the_interval_of_three_worlds_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(150):
        shifts = rng.normal(0.03, 0.06, 3)
        found = paired_effect([Paired(rng.normal(one, 0.3, (1, 150)), np.arange(150)) for one in shifts], draws=200)
        held += found.interval[0] < 0.03 < found.interval[1]
    assert held / 150 > 0.88, "normal quantiles would hold it in 79%"


def test_worlds_that_do_not_differ_are_counted_by_the_normal_distribution() -> None:
    effect = paired_effect([world(*[0.1] * 20, *[-0.1] * 20)])
    assert effect.between == 0
    # (1.960 + 0.842)^2 times the variance of a world's mean, 0.1^2 / 40, over 0.01^2.
    assert worlds_needed(effect, 0.01) == pytest.approx(7.849 * 0.1**2 / 40 / 0.01**2, rel=0.1)
    assert worlds_needed(effect, 0.2) == 1


def test_worlds_that_differ_are_counted_by_students_t() -> None:
    effect = Effect(0.0, 0.02, (-0.1, 0.1), 0.1, (0.0,) * 4, between=0.04**2)
    # With 33 degrees of freedom 2.035 + 0.853, with 32 2.037 + 0.853: times 0.04 over the root of the worlds.
    assert worlds_needed(effect, 0.02) == 34
    assert worlds_needed(effect, 1.0) == 2, "one world has no deviation"


def test_so_many_worlds_tell_the_gain_in_four_of_five_cases() -> None:
    rng = np.random.default_rng(2)

    def drawn(count: int, gain: float) -> list[Paired]:
        shifts = rng.normal(gain, 0.02, count)
        return [Paired(rng.normal(shift, 0.1, (1, 50)), np.arange(50)) for shift in shifts]

    deviation = (0.02**2 + 0.1**2 / 50) ** 0.5  # of a world's mean
    needed = worlds_needed(Effect(0.0, deviation / 2, (-0.1, 0.1), 0.1, (0.0,) * 4, between=0.02**2))
    told = [
        np.mean(ttest_1samp(rng.normal(0.02, deviation, (20000, count)), 0, axis=1).pvalue < 0.05)
        for count in (needed - 1, needed)
    ]
    assert told[0] < POWER < told[1] < POWER + 0.02
    assert abs(worlds_needed(paired_effect(drawn(100, 0.0), draws=50)) - needed) <= 3, "as the worlds say themselves"
    found = [paired_effect(drawn(needed, 0.02), draws=100).interval[0] > 0 for _ in range(150)]
    assert np.mean(found) == pytest.approx(POWER, abs=0.08)


def test_the_same_differences_give_the_same_figures() -> None:
    worlds = [world(0.1, 0.0, 0.3), world(0.2, -0.1, 0.0)]
    assert paired_effect(worlds) == paired_effect(worlds)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one world"):
        paired_effect([])
    with pytest.raises(ValueError, match=r"got \(1, 2\) and \(3,\)"):
        Paired(np.zeros((1, 2)), np.zeros(3, np.int64))
