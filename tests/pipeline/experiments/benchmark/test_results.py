"""Records to tables: means, spreads and gains worked by hand; the page in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from manifests.errors import UserError
from pipeline.common.images import encode
from pipeline.experiments.benchmark import page
from pipeline.experiments.benchmark.gaps import BASELINE, DOMAINS, POSES
from pipeline.experiments.benchmark.page import gain, share, write_results
from pipeline.experiments.benchmark.pictures import Picture
from pipeline.experiments.benchmark.records import ArmRecord, find_record, write_record
from pipeline.experiments.benchmark.results import FIGURES, Spread, measurements, spread, summarize
from tests.browser import DESKTOP, PHONE, page_faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def record(arm: str, seed: int, rank1: float, validation: float = 0.9) -> ArmRecord:
    def figures(value: float) -> dict[str, float]:
        return {**dict.fromkeys(FIGURES, value / 2), "rank1": value, "queries": 50.0}

    images = {"real": 100} if arm == BASELINE else {"real": 100, "synthetic": 200}
    parts = {"test": figures(rank1), "validation": figures(validation)}
    recognised = None if arm == BASELINE else 0.8 + seed / 100
    return ArmRecord(DOMAINS.name, arm, seed, {"steps": 1}, parts, images, recognised)


RECORDS = [
    *(record(BASELINE, seed, rank1) for seed, rank1 in ((0, 0.30), (1, 0.40), (2, 0.35))),
    *(record("ptgan", seed, rank1) for seed, rank1 in ((0, 0.36), (1, 0.44), (2, 0.43))),
    record("spgan", 1, 0.38),
]


def test_gains_are_over_the_baseline_of_the_same_seed() -> None:
    lines = {line.arm.name: line for line in summarize(measurements(RECORDS), DOMAINS)}
    assert list(lines) == [BASELINE, "ptgan", "spgan"], "the baseline first, what was not measured left out"
    assert lines[BASELINE].rank1.mean == pytest.approx(0.35)
    assert lines[BASELINE].gain is None
    found = lines["ptgan"].gain
    assert found is not None
    assert found.values == pytest.approx((0.06, 0.04, 0.08))
    assert found.mean == pytest.approx(0.06)
    assert found.deviation == pytest.approx(0.02), "of a sample of three"
    assert lines["spgan"].gain == Spread(pytest.approx(-0.02), None, pytest.approx((-0.02,)))  # type: ignore[arg-type]


def test_validation_people_do_not_enter_the_tables() -> None:
    high = [record(BASELINE, 0, 0.3, validation=0.9), record("ptgan", 0, 0.4, validation=0.1)]
    lines = summarize(measurements(high), DOMAINS)
    assert [line.rank1.mean for line in lines] == [0.3, 0.4]
    chosen_on = summarize(measurements(high), DOMAINS, "validation")
    assert [line.rank1.mean for line in chosen_on] == [0.9, 0.1]


def test_figures_as_people_read_them() -> None:
    assert share(spread([0.3, 0.4])) == "35.0 ± 7.1"
    assert gain(spread([-0.02])) == "−2.0"
    assert gain(None) == "–"


def test_a_record_of_other_settings_is_refused(tmp_path: Path) -> None:
    assert find_record(tmp_path, {"steps": 1}) is None
    write_record(tmp_path, RECORDS[0])
    assert find_record(tmp_path, {"steps": 1}) == RECORDS[0]
    with pytest.raises(UserError, match="was measured with other settings: choose another --output"):
        find_record(tmp_path, {"steps": 2})


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import numpy as np

    picture = Picture(encode(np.zeros((64, 32, 3), np.uint8), "png"), ("sources", "generated"))
    monkeypatch.setattr(page, "draw_arm", lambda *_: picture)
    write_results(tmp_path, RECORDS, [DOMAINS, POSES], "Three worlds & <one> seed each.")
    return tmp_path


def test_tables_for_people_and_programs(written: Path) -> None:
    text = (written / "benchmark.md").read_text(encoding="utf-8")
    assert "| ptgan | 200 synthetic | 81.0 ± 1.0 | 41.0 ± 4.4 | 20.5 ± 2.2 | +6.0 ± 2.0 | – |" in text
    assert (
        "| spgan | 200 synthetic | 81.0 | 38.0 | 19.0 | −2.0 | +8.0 (33.1 to 41.1; Market to Duke, table 2) |" in text
    )
    assert "| baseline | 100 real | – | 35.0 ± 5.0 |" in text
    assert "other poses" not in text, "nothing of it was measured"
    table = pl.read_parquet(written / "benchmark.parquet")
    assert table.height == 2 * len(RECORDS)
    assert table.filter((pl.col("arm") == "ptgan") & (pl.col("part") == "test"))["rank1"].to_list() == [
        0.36,
        0.44,
        0.43,
    ]


def test_page_in_a_browser(written: Path, chromium: Browser) -> None:
    path = written / "benchmark.html"
    assert "&lt;one&gt;" in path.read_text(encoding="utf-8")
    assert page_faults(chromium, path, DESKTOP, "light") == []
    assert page_faults(chromium, path, PHONE, "dark") == []
