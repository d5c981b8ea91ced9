"""The settings of a mix: defaults as published, stages of the steps, and what says nothing together."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.errors import UserError
from pipeline.reid.mixing import MixSettings


def test_defaults_are_the_published_ones() -> None:
    plain, two_means, dynamic = MixSettings(), MixSettings(mix="two_means"), MixSettings(nobody_labels="mprl")
    assert (plain.weight, plain.start, plain.staged) == (None, 0.0, False)
    assert (two_means.weight, two_means.ratio) == (None, 3.0)
    assert (dynamic.weight, dynamic.start, dynamic.staged) == (0.1, 0.4, True)
    assert MixSettings(nobody_labels="mprl", synthetic_weight=1, synthetic_from=0).described() == {
        **MixSettings(nobody_labels="mprl").model_dump(),
        "synthetic_weight": 1.0,
        "synthetic_from": 0.0,
        "real_to_synthetic": 3.0,
    }
    assert dynamic.described()["synthetic_from"] == 0.4
    assert two_means.described()["real_to_synthetic"] == plain.described()["real_to_synthetic"] == 3.0


@pytest.mark.parametrize(
    ("given", "stages"),
    [
        ({}, [(375, True, True)]),
        ({"synthetic_from": 0.4}, [(150, True, False), (375, True, True)]),
        ({"synthetic_until": 0.8}, [(300, True, True), (375, True, False)]),
        ({"real_from": 0.2}, [(75, False, True), (375, True, True)]),
        ({"real_from": 0.3333, "synthetic_until": 0.3333}, [(125, False, True), (375, True, False)]),
        (
            {"real_from": 0.2, "synthetic_until": 0.6},
            [(75, False, True), (225, True, True), (375, True, False)],
        ),
        (
            {"synthetic_from": 0.2, "synthetic_until": 0.6},
            [(75, True, False), (225, True, True), (375, True, False)],
        ),
    ],
)
def test_shares_are_stages_of_the_steps(given: dict[str, float], stages: list[tuple[int, bool, bool]]) -> None:
    assert MixSettings.model_validate(given).stages(375) == stages


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mix": "two_means", "synthetic_per_real": 2}, "--synthetic-per-real belongs to --mix shuffled"),
        ({"real_to_synthetic": 3}, "--real-to-synthetic belongs to --mix two_means"),
        ({"synthetic_batch": "additive"}, "--synthetic-batch additive belongs to --mix two_means"),
        ({"synthetic_norm": "apart"}, "--synthetic-norm apart belongs to --mix two_means"),
        ({"synthetic_from": 0.5, "synthetic_until": 0.5}, "--synthetic-from 0.5 is not before --synthetic-until 0.5"),
        ({"synthetic_from": 0.5, "real_from": 0.2}, "leave nobody for the first step"),
        ({"synthetic_until": 0.2, "real_from": 0.5}, "nobody would be left in between"),
        ({"synthetic_until": 0.5, "real_from": 0.5, "mix": "two_means"}, "never train on both kinds at once"),
        ({"synthetic_until": 0.5, "real_from": 0.5, "synthetic_weight": 1}, "never train on both kinds at once"),
        ({"nobody_labels": "mprl", "real_from": 0.1}, "leave --real-from out"),
    ],
)
def test_what_says_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        MixSettings.model_validate(given)
