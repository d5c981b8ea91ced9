"""The inspector of pages finds what it is there to find."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import PHONE, background, page_faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PAGE = (
    "<!doctype html><html lang='en'><head><title>t</title><link rel='icon' href='data:,'></head><body>{}</body></html>"
)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<p>well</p>", ""),
        ("<img alt='a' src='http://127.0.0.1:9/a.png'>", "request: http://127.0.0.1:9/a.png"),
        ("<img alt='a' src='data:image/png;base64,AAAA'>", "picture: data:image/png;base64,AAAA shows nothing"),
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "has no alternative text"),
        ("<svg viewBox='0 0 1 1'></svg>", "text: a drawing has no label"),
        ("<div style='width: 500px'>wide</div>", "width: "),
        ("<p style='color: #999; background: #fff'>faint</p>", 'contrast: 2.85 of "faint"'),
        ("<script>console.error('told you')</script>", "console: told you"),
        ("<script>undefined_name()</script>", "error: "),
    ],
)
def test_faults_are_found(chromium: Browser, tmp_path: Path, body: str, fault: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(_PAGE.format(body))
    faults = page_faults(chromium, page, PHONE, "light")
    assert any(fault in found for found in faults) if fault else faults == []


def test_the_ground_is_measured(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    style = (
        "<style>body { background: white } @media (prefers-color-scheme: dark) { body { background: black } }</style>"
    )
    page.write_text(_PAGE.format(style))
    assert background(chromium, page, "light") == pytest.approx(1.0)
    assert background(chromium, page, "dark") == 0.0
