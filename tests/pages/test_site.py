"""The built site: no warning, no dead link or anchor, and every page draws in a browser without a word."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

import manifests
from tests.browser import DESKTOP, PHONE
from tests.pages.markdown import DOCS
from tests.pages.site import Page, build

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_INSPECT = """() => [
    ...[...document.images].filter(one => !(one.complete && one.naturalWidth)).map(one => `picture: ${one.src}`),
    ...[...document.images].filter(one => !one.alt).map(one => `no text for ${one.src}`),
    ...(document.documentElement.scrollWidth > innerWidth ? [`width: ${document.documentElement.scrollWidth}`] : []),
]"""


_CUT_OFF = """() => [...document.querySelectorAll('.table-wrapper, .highlight-sh pre')]
    .filter(one => one.scrollWidth > one.clientWidth + 1)
    .map(one => `${one.scrollWidth} pixels in ${one.clientWidth}: ${one.innerText.slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    said = build(folder)
    assert not said
    return folder


def test_no_link_is_dead(site: Path) -> None:
    page = cache(Page)
    faults, checked = [], 0
    for path in site.glob("*.html"):
        for link in page(path).links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            checked += 1
            there = path.parent / unquote(parts.path) if parts.path else path
            if not there.is_file():
                faults.append(f"{path.name}: {link}: no such file")
            elif parts.fragment and there.suffix == ".html" and unquote(parts.fragment) not in page(there).names:
                faults.append(f"{path.name}: {link}: no such place")
    assert checked > 500
    assert not faults


def test_every_page_is_built_and_found_from_the_first(site: Path) -> None:
    pages = {path.with_suffix(".html").name for path in DOCS.glob("*.md")}
    assert pages <= {urlsplit(link).path for link in Page(site / "index.html").links} | {"index.html"}


def test_the_reference_has_every_public_name(site: Path) -> None:
    names = Page(site / "api-manifests.html").names
    documented = {name.rpartition(".")[2] for name in names if name.startswith("manifests.")}
    assert set(manifests.__all__) - documented <= {"SCHEMAS", "__version__"}


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_pages_draw_without_a_word(chromium: Browser, site: Path, width: int) -> None:
    """One tab for all: nothing on the console, nothing asked of the network, all pictures there, nothing too wide."""
    tab = chromium.new_page(viewport={"width": width, "height": 900})
    faults: list[str] = []
    tab.on("console", lambda message: faults.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
    tab.on("request", lambda one: one.url.startswith(("file:", "data:")) or faults.append(f"request: {one.url}"))
    tab.on("requestfailed", lambda one: faults.append(f"failed: {one.url}"))
    pages = sorted(site.glob("*.html"))
    assert len(pages) > 15
    for path in pages:
        tab.goto(path.as_uri())
        faults += [f"{path.name}: {fault}" for fault in tab.evaluate(_INSPECT)]
    tab.close()
    assert not faults


@pytest.mark.parametrize(
    "width", [DESKTOP, 1340, 1900]
)  # the list of a page's headings folded away, barely there, there
def test_no_table_or_command_is_cut_off_at_a_desk(chromium: Browser, site: Path, width: int) -> None:
    tab = chromium.new_page(viewport={"width": width, "height": 900})
    faults = []
    for path in sorted(site.glob("*.html")):
        tab.goto(path.as_uri())
        faults += [f"{path.name}: {fault}" for fault in tab.evaluate(_CUT_OFF)]
    tab.close()
    assert not faults
