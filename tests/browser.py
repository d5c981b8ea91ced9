"""A real headless Chromium for the pages that we write, and what must hold of any of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Scheme = Literal["light", "dark"]
DESKTOP, PHONE = 1280, 360
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")  # while it lives, Playwright's event loop does, and others could not start theirs
def chromium() -> Iterator[Browser]:
    """The system's Chromium; ``REID_SYNTH_CHROMIUM`` names another."""
    program = os.environ.get("REID_SYNTH_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium: none on the path, and REID_SYNTH_CHROMIUM names none")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        yield browser
        browser.close()


def page_faults(browser: Browser, page: Path, width: int, scheme: Scheme) -> list[str]:
    """What is wrong with a page at this ``width`` in pixels and in this colour scheme; nothing, if it is as it should.

    It must draw without a word on the console, ask for nothing but itself, show all its pictures, fit its width,
    have no text of too little contrast (WCAG 2.2, 1.4.3) and no picture without a text in its place.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        tab = context.new_page()
        faults: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message: faults.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        faults += [f"request: {url}" for url in asked if url != page.as_uri() and not url.startswith("data:")]
        faults += [str(fault) for fault in tab.evaluate(_INSPECT)]
        if tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") != (scheme == "dark"):
            faults.append("scheme: the browser did not take it")
        return faults
    finally:
        context.close()


def background(browser: Browser, page: Path, scheme: Scheme) -> float:
    """Relative luminance, in [0, 1], of the page's ground."""
    context = browser.new_context(color_scheme=scheme)
    try:
        tab = context.new_page()
        tab.goto(page.as_uri())
        return float(tab.evaluate(f"() => {{ {_COLOURS} return luminance(ground(document.body)); }}"))
    finally:
        context.close()


_COLOURS = """
const parts = color => color.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ground = element => {
  for (let at = element; at; at = at.parentElement) {
    const color = parts(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
"""
_INSPECT = (
    "() => {"
    + _COLOURS
    + """
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) faults.push(`width: ${root.scrollWidth} in ${root.clientWidth} pixels`);
for (const image of document.images) {
  const source = image.src.slice(0, 60);
  if (!(image.complete && image.naturalWidth > 0)) faults.push(`picture: ${source} shows nothing`);
  if (!image.alt) faults.push(`text: ${source} has no alternative text`);
}
for (const drawing of document.querySelectorAll('svg:not([aria-hidden])'))
  if (!drawing.getAttribute('aria-label')) faults.push('text: a drawing has no label');
for (const element of document.body.querySelectorAll('*')) {
  const text = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('').trim();
  if (!text || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const [one, other] = [luminance(parts(style.color)), luminance(ground(element))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) faults.push(`contrast: ${ratio.toFixed(2)} of "${text.slice(0, 40)}"`);
}
return faults;
}"""
)
