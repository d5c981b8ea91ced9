"""The tables for people and programs, and the page in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from pipeline.common.images import encode
from pipeline.experiments.benchmark import page
from pipeline.experiments.benchmark.gaps import DOMAINS, POSES
from pipeline.experiments.benchmark.page import write_results
from pipeline.experiments.benchmark.pictures import Picture
from pipeline.experiments.benchmark.power import Effect
from pipeline.experiments.benchmark.settings import Bench, BenchmarkSettings, Storage
from pipeline.experiments.benchmark.text import doubts_about, gain, interval, share, worlds_asked
from tests.browser import DESKTOP, PHONE, page_faults
from tests.pipeline.experiments.benchmark.planted import planted

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_figures_as_people_read_them() -> None:
    effect = Effect(-0.02, 0.0151, (-0.05, 0.0104), 0.0423, (-0.02,))
    assert gain(effect) == "none told"
    assert interval(effect) == "−5.0 to +1.0"
    assert gain(effect._replace(interval=(-0.05, -0.001))) == "−2.0 ± 1.5"
    assert (gain(None), share(None), share(0.35)) == ("–", "–", "35.0")


def test_how_many_worlds_it_takes() -> None:
    one = Effect(0.0, 0.02, (-0.05, 0.05), 0.056, (0.0,))
    assert worlds_asked([one]) == "To tell 2 points in rank-1 of each takes at least 8 worlds (seeds), 7 more."
    assert worlds_asked([one._replace(error=0.001)]).endswith(" takes at least 2 worlds (seeds), 1 more.")
    four = Effect(0.0, 0.02, (-0.1, 0.1), 0.1, (0.0,) * 4, 0.04**2)
    surer, sure = four._replace(error=0.01), four._replace(error=0.002)
    assert worlds_asked([surer, four, sure]).endswith(
        " takes 34 worlds (seeds) that differ as these 4 do, 30 more; for half of the arms 10 do."
    )
    assert worlds_asked([sure, sure]) == "Its 4 worlds (seeds) tell 2 points in rank-1 of each."


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    picture = Picture(encode(np.zeros((64, 32, 3), np.uint8), "png"), ("sources", "generated"))
    monkeypatch.setattr(page, "draw_arm", lambda *_: picture)
    storage = Storage(tmp_path, tmp_path / "generators")
    benches = [Bench(BenchmarkSettings(), storage, 0, gap) for gap in (DOMAINS, POSES)]
    (benches[0].images_folder(DOMAINS.arms[0]) / "train").mkdir(parents=True)
    write_results(tmp_path, planted(), planted(), benches, "Three worlds & <one> seed each.")
    return tmp_path


def test_tables_for_people_and_programs(written: Path) -> None:
    text = (written / "benchmark.md").read_text(encoding="utf-8")
    assert "| ptgan | as trained | 100 real + 200 synthetic | 81.0 | 50.0 | 40.5 | 46.0 | 23.0 | +6.0 ± " in text
    assert "| baseline, as trained | +8.0 (33.1 to 41.1; Market to Duke, table 2) |" in text
    assert "| baseline | as trained | 100 real | – | – | – | 40.0 | 20.0 | – | – | – | – |" in text
    assert "Smallest gain that can be told of every arm with generated images: " in text
    assert re.search(
        r"in mAP\. To tell 2 points in rank-1 of each takes \d+ worlds .* differ as these 3 do, \d+ more[.;]", text
    )
    assert "other poses" not in text, "nothing of it was measured"
    assert pl.read_parquet(written / "benchmark.parquet").height == 4 * len(planted())
    parts = pl.read_parquet(written / "gains.parquet")["part"]
    assert parts.to_list() == ["test"] * 10 + ["validation"] * 10


def test_what_makes_figures_worth_little_is_in_the_heading(written: Path) -> None:
    text = (written / "benchmark.md").read_text(encoding="utf-8")
    few = "Few queries: 50, so that one is worth 2.0 points."
    assert text.startswith(f"# Does the synthetic data help?\n\nThree worlds & <one> seed each.\n\n**{few}**\n\n## ")
    assert f'<p class="main">{few}</p>' in (written / "benchmark.html").read_text(encoding="utf-8")
    quick = BenchmarkSettings(budget=0.02, reid_epochs=3)
    assert doubts_about(planted()[:1], quick) == [
        "One seed: the intervals hold the noise of people and trainings, and not that of other worlds.",
        few,
        "A quick look: 0.02 of the generators' full steps say little of what they can.",
        "ReID networks see their real images 3 times, not 30: they have not learned what they could.",
    ]


def test_settings_are_chosen_on_validation_people(written: Path) -> None:
    text = (written / "settings.md").read_text(encoding="utf-8")
    assert (
        "| ptgan | as trained | 100 real + 200 synthetic | 81.0 | 50.0 | 40.5 | 90.0 | 45.0 | none told (+0.0 to"
        in text
    )
    assert "| recipe ptgan, real_to_synthetic 3 |" in text


def test_page_in_a_browser(written: Path, chromium: Browser) -> None:
    path = written / "benchmark.html"
    assert "&lt;one&gt;" in path.read_text(encoding="utf-8")
    assert page_faults(chromium, path, DESKTOP, "light") == []
    assert page_faults(chromium, path, PHONE, "dark") == []
