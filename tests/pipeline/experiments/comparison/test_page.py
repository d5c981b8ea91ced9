"""The page of the comparison, from saved records, read and looked at in a real Chromium."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.common.images import encode
from pipeline.experiments.comparison.page import MEANINGS, write_comparison
from pipeline.experiments.comparison.systems import SYSTEMS
from pipeline.experiments.comparison.trial import PICTURE, RECORD
from tests.browser import DESKTOP, PHONE, Scheme, page_faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FIGURES = {
    "gan_lsro": {"fid": 2.924, "fid_untrained": 82.78, "fid_real": 0.953, "diversity": 0.383, "diversity_real": 0.382},
    "cyclegan": {"foreground_change": 0.122, "background_change": 0.106, "retrieval_source": 0.14, "retrieval": 0.075},
    "camstyle": {"camera_accuracy": 0.841, "camera_accuracy_untransferred": 0.008, "retrieval_untransferred": 0.5},
    "pasted_cameras": {"fid": 3.82, "fid_untransferred": 11.3},
    "pngan": {"pck": 0.829, "pck_real": 0.958, "pck_source": 0.397},
}
ABOUT = "Drawn people & <b>places</b>."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("comparison")
    for name, figures in FIGURES.items():
        (output / name).mkdir()
        record = {"identity": {"steps": 10}, "figures": figures, "lines": ["source", "made"], "training_seconds": 3.4}
        (output / name / RECORD).write_text(json.dumps(record))
        (output / name / PICTURE).write_bytes(encode(np.full((140, 436, 3), 90, np.uint8), "png"))
    return Path(write_comparison(output, [SYSTEMS[name] for name in FIGURES], ABOUT))


def words(text: str) -> str:
    """The words of a piece of the page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_each_figure_stands_beside_what_it_is_held_against(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert f"FID {MEANINGS['fid']} 2.92 82.8 0.953" in words(text)
    assert f"FID {MEANINGS['fid']} 3.82 11.3 –" in words(text)
    assert f"diversity {MEANINGS['diversity']} 0.383 – 0.382" in words(text)
    assert f"PCK {MEANINGS['pck']} 0.829 0.397 0.958" in words(text)
    assert f"retrieval source {MEANINGS['retrieval_source']} 0.14 – –" in words(text)
    # Held against nothing that is there, a figure has a line of its own.
    assert f"retrieval untransferred {MEANINGS['retrieval_untransferred']} 0.5 – –" in words(text)
    for headline in (
        "FID 2.92 (untrained 82.8)",
        "foreground change 0.122 (background change 0.106)",
        "camera accuracy 0.841 (untransferred 0.008)",
        "PCK 0.829 (real 0.958)",
    ):
        assert headline in words(text)
    assert "Drawn people &amp; &lt;b&gt;places&lt;/b&gt;." in text
    saved = json.loads(page.with_suffix(".json").read_text())
    assert {name: record["figures"] for name, record in saved["systems"].items()} == FIGURES


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_is_drawn_without_a_fault(chromium: Browser, page: Path, scheme: Scheme, width: int) -> None:
    assert page_faults(chromium, page, width, scheme) == []
