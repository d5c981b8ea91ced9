"""Records to tables: means and paired gains worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.experiments.benchmark.gaps import DOMAINS
from pipeline.experiments.benchmark.records import NORMS, find_record, records_below, write_record
from pipeline.experiments.benchmark.results import (
    Line,
    detectable,
    gains_of_generated,
    gains_table,
    measurements,
    summarize,
)
from tests.pipeline.experiments.benchmark.planted import BASELINE, planted, record


def lines_of(part: str = "test") -> dict[tuple[str, str], Line]:
    return {(line.arm, line.norm): line for line in summarize(planted(), DOMAINS.name, part)}  # type: ignore[arg-type]


def test_gains_are_over_the_baseline_of_the_same_seed_and_norm() -> None:
    lines = lines_of()
    arms = [BASELINE, "ptgan", "spgan"]
    assert list(lines) == [(arm, norm) for arm in arms for norm in ("as trained", "re-estimated")]
    assert lines[BASELINE, "as trained"].rank1 == pytest.approx(0.4)
    assert lines[BASELINE, "as trained"].gains == {}
    for norm in ("as trained", "re-estimated"):
        line = lines["ptgan", norm]
        assert line.against == f"{BASELINE}, {norm}"
        assert line.gains["rank1"].worlds == pytest.approx((0.06, 0.04, 0.08))
        assert line.gains["rank1"].mean == pytest.approx(0.06)
        assert line.gains["mean_ap"].mean == pytest.approx(0.03)
    assert lines["spgan", "as trained"].gains["rank1"].worlds == pytest.approx((-0.02,))


def test_re_estimated_statistics_alone_are_held_against_those_as_trained() -> None:
    line = lines_of()[BASELINE, "re-estimated"]
    assert line.against == f"{BASELINE}, as trained"
    assert line.gains["rank1"].worlds == pytest.approx((0.1, 0.1, 0.1))


def test_trainings_of_one_seed_are_paired_with_one_another() -> None:
    both = [record(BASELINE, 0, 20), record(BASELINE, 0, 10, training=1)]
    both += [record("ptgan", 0, 22), record("ptgan", 0, 14, training=1), record("ptgan", 0, 50, training=2)]
    line = summarize(both, DOMAINS.name)[2]
    assert line.gains["rank1"].worlds == pytest.approx((0.06,)), "the third training has no baseline"


def test_the_error_is_that_of_paired_queries() -> None:
    effect = lines_of()["ptgan", "as trained"].gains["rank1"]
    within = sum(share * (1 - share) / 50 for share in effect.worlds) / 3
    assert effect.error == pytest.approx((within / 3) ** 0.5, rel=0.1), "these worlds vary less than their queries"
    assert detectable(lines_of().values(), "rank1") == pytest.approx(
        (1.96 + 0.8416) * max(lines_of()[arm, "as trained"].gains["rank1"].error for arm in ("ptgan", "spgan")),
        rel=1e-3,
    )


def test_gains_of_generated_images_are_those_of_arms_with_a_recipe() -> None:
    lines = lines_of()
    effects = gains_of_generated(lines.values(), "rank1")
    assert effects == [lines[arm, norm].gains["rank1"] for arm in ("ptgan", "spgan") for norm in NORMS]


def test_validation_people_do_not_enter_the_tables() -> None:
    assert {line.rank1 for line in lines_of("validation").values()} == {0.9, 1.0}
    assert lines_of()["ptgan", "as trained"].rank1 == pytest.approx(0.46)


def test_every_gain_is_a_row() -> None:
    table = gains_table({DOMAINS.name: list(lines_of().values())}, "test")
    assert table.height == 2 * 5, "rank-1 and mAP of all but the plain baseline as it was trained"
    (row,) = table.filter(arm="ptgan", norm="as trained", figure="rank1").to_dicts()
    assert row["gain"] == pytest.approx(0.06)
    assert row["low"] < 0.06 < row["high"]
    assert row["detectable"] == pytest.approx((1.96 + 0.8416) * row["standard_error"], rel=1e-3)
    assert row["by_seed"] == pytest.approx([0.06, 0.04, 0.08])


def test_every_measurement_is_a_row() -> None:
    table = measurements(planted())
    assert table.height == 4 * len(planted())
    assert table["recognised"].null_count() == 4 * 3


def test_a_record_of_other_settings_is_refused(tmp_path: Path) -> None:
    kept = planted()[3]
    assert find_record(tmp_path, kept.identity) is None
    write_record(tmp_path, kept)
    assert find_record(tmp_path, kept.identity) == kept
    with pytest.raises(UserError, match="was measured with other settings: choose another --output"):
        find_record(tmp_path, {"steps": 2})
    (tmp_path / "record.json").write_text('{"figures": {}}')
    with pytest.raises(UserError, match=r"record\.json is no record of this version"):
        find_record(tmp_path, kept.identity)


def test_all_that_was_tried_is_found_again(tmp_path: Path) -> None:
    for one in planted():
        write_record(tmp_path / f"seed-{one.seed}" / one.gap / "arms" / one.arm / "training-0", one)
    assert [one.arm for one in records_below(tmp_path, {"size": 1})] == [BASELINE] * 3 + ["ptgan"] * 3 + ["spgan"]
    assert records_below(tmp_path, {"size": 2}) == []
