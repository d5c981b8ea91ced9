"""No link of a page leads nowhere, by its text alone; that of the built site, see test_site.py."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.pages.markdown import DOCS, PAGES, ROOT, anchors, links


def _fault(page: Path, link: str) -> str | None:
    """What is wrong with a link: no file, no heading of that name, or a way out of the site."""
    parts = urlsplit(link)
    if parts.scheme:
        return None if parts.scheme in ("https", "mailto") and (parts.netloc or parts.path) else "an odd address"
    there = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not there.exists():
        return "no such file"
    if page.is_relative_to(DOCS) and not there.is_relative_to(DOCS):
        return "leads out of docs/, which the site does not hold"
    if parts.fragment and parts.fragment not in anchors(there):
        return "no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert not [f"{link}: {said}" for link in links(page) if (said := _fault(page, link))]


def test_faults_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A head: `--flag`\n## A head: `--flag`\n[a](#a-head---flag) [b](#a-head---flag-1) [c](#b) [d](e.md)"
    )
    assert [_fault(page, link) for link in links(page)] == [None, None, "no such heading", "no such file"]
    assert _fault(DOCS / "guarantees.md", "../README.md") == "leads out of docs/, which the site does not hold"
    assert _fault(page, "http:x") == "an odd address"
