"""The report in a real Chromium: at a desk and on a phone, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from manifests.showing.report import write_report
from tests.browser import DESKTOP, PHONE, Scheme, background, page_faults
from tests.manifests.showing.report.conftest import PEOPLE, keypoints, make_family

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = "<b>" + "name" * 40


def extreme(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Names as long as can be, every score, a pose that was asked for on some rows, no picture on others."""
    scores = ("foreground_fidelity", "style_shift", "identity_similarity", "pose_error", "sharpness")
    return {
        **row,
        "identity": f"{LONG}{PEOPLE.index(row['identity'])}",
        "domain": LONG,
        "recipe": f"{LONG}{number % 12}",
        "camera": number % 7,
        "quality": dict.fromkeys(scores, (number - 7) * 100000.0),
        "keypoints": keypoints(),
        "target": {"camera": number % 7, "domain": LONG, "pose": "class 1" if number % 2 else None},
        "image": {"bytes": b"broken" if number % 3 == 0 else row["image"]["bytes"], "path": "x.png"},
    }


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    usual = make_family(str(root / "usual"))
    record = {
        "settings": {LONG: LONG},
        "environment": {LONG: {LONG: LONG}},
        "inputs": [{"id": LONG, "licence": LONG, "consent": LONG, "digest": LONG, "uri": usual.source.uri}],
        "checkpoints": [{"name": LONG, "recipe": LONG, "trained_on": LONG * 9, "sha256": "e" * 64}],
    }
    odd = make_family(str(root / "odd"), extreme, record)
    empty = make_family(str(root / "empty"), lambda number, row: {**row, "camera": None})
    datasets = {"usual": usual.synthetic, "odd": odd.synthetic, "no-cameras": empty.synthetic}
    datasets |= {"source": usual.source, "annotations": usual.annotations}
    return {name: Path(write_report(one, str(root / f"{name}.html"))) for name, one in datasets.items()}


@pytest.mark.parametrize("name", ["usual", "odd", "no-cameras", "source", "annotations"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_is_drawn_without_a_fault(
    chromium: Browser, pages: dict[str, Path], name: str, scheme: Scheme, width: int
) -> None:
    assert page_faults(chromium, pages[name], width, scheme) == []


def test_dark_is_dark(chromium: Browser, pages: dict[str, Path]) -> None:
    assert background(chromium, pages["usual"], "light") > 0.8
    assert background(chromium, pages["usual"], "dark") < 0.05
