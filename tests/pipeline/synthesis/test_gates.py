"""Rows that their own scores condemn become rejects; nothing else of a data set changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manifests.checking.validate import validate
from manifests.errors import UserError
from pipeline.synthesis.gates import Gate, rejected_by
from pipeline.synthesis.plan_kinds import TranslationSettings
from tests.conftest import ToySources
from tests.pipeline.synthesis.test_worker import made, prepared


def test_conditions_by_hand() -> None:
    below, above = "quality.style_shift < 0", "pose_error > 0.25"
    assert rejected_by([below], {"style_shift": 0.0}) is None
    assert rejected_by([below], {"style_shift": -0.5}) == (
        "its style_shift is -0.5, and quality.style_shift < 0 is rejected"
    )
    assert rejected_by([below, above], {"style_shift": 1.0, "pose_error": 0.3}) == (
        "its pose_error is 0.3, and quality.pose_error > 0.25 is rejected"
    )
    assert rejected_by([above], {}) == "its pose_error is not known, and quality.pose_error > 0.25 is rejected"
    assert rejected_by([], {}) is None
    # As a query of the stored rows sees it.
    stored = float(np.float32(0.1))
    assert stored > 0.1
    assert rejected_by(["quality.pose_error > 0.1"], {"pose_error": 0.1}) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("style_shift", "is no condition: write one as 'quality.style_shift < 0'"),
        ("quality.style_shift < little", "is no condition"),
        ("quality.style_shift < nan", "is no condition"),
        ("quality.reliability < 0.5", "what jobs/score_dataset.py finds is for jobs/choose_rows.py and --where"),
    ],
)
def test_what_is_no_condition_is_told(text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"--reject-below '{text}'.*{said}"):
        Gate.of(text)
    with pytest.raises(UserError, match=said):
        TranslationSettings(reject_below=[text])


def test_spelling_and_order_make_no_other_plan() -> None:
    one = TranslationSettings(reject_below=["style_shift<0", "quality.foreground_fidelity < .50"])
    other = TranslationSettings(reject_below=["quality.foreground_fidelity < 0.5", "quality.style_shift < 0.0"])
    assert one == other
    assert one.deciding() == TranslationSettings().deciding(), "no row depends on it"


def test_condemned_rows_are_rejects_and_the_others_stay(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path
) -> None:
    plain = prepared(toy_sources, untrained_generator, limit=9)
    whole = made(plain, tmp_path / "whole").read().to_pylist()
    shifts = {row["sample_id"]: row["quality"]["style_shift"] for row in whole}
    bound = float(np.median(list(shifts.values())))
    job = prepared(toy_sources, untrained_generator, limit=9, reject_below=[f"quality.style_shift < {bound!r}"])
    assert job.plan.plan_id != plain.plan.plan_id, "an output is not gone on with under another condition"
    some = made(job, tmp_path / "some")
    kept = {name for name, shift in shifts.items() if shift >= Gate.of(job.settings.reject_below[0]).bound}
    rejects = some.rejects().to_pylist()
    assert {row["item_id"] for row in rejects} == shifts.keys() - kept
    assert {(row["stage"], row["reason"]) for row in rejects} == {("score", "low_quality")}
    assert 0 < len(rejects) < some.snapshot.planned == 9 == some.snapshot.rows + len(rejects)
    ours = {row.pop("plan_id") and row["sample_id"]: row for row in some.read().to_pylist()}
    theirs = {row.pop("plan_id") and row["sample_id"]: row for row in whole}
    assert ours == {name: theirs[name] for name in kept}
    assert validate(some.uri).faults == []


def test_nothing_left_is_a_data_set_of_rejects(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path
) -> None:
    """Without annotations nobody knows a fidelity."""
    none = made(
        prepared(toy_sources, untrained_generator, limit=3, reject_below=["foreground_fidelity < 0.5"]), tmp_path / "a"
    )
    assert (none.snapshot.rows, none.snapshot.reasons) == (0, {"low_quality": 3})
    assert none.rejects()["message"][0].as_py().startswith("its foreground_fidelity is not known")
