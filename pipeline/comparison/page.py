"""The comparison as one self-contained page: a row for each system, its pictures and what was measured."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from pipeline.comparison.systems import System
from pipeline.comparison.trial import PICTURE, RECORD
from pipeline.recipes import find_recipe

MEANINGS = {
    "fid": "distance to real images (Fréchet, our own ReID features); lower is better",
    "fid_untrained": "the same before training",
    "fid_real": "the same between two halves of the real images: the floor",
    "coverage": "share of real images with a generated one among their nearest; low is mode collapse",
    "coverage_real": "the same of one half of the real images for the other",
    "diversity": "mean perceptual distance of two generated images; near 0 is mode collapse",
    "diversity_real": "the same of real images",
    "camera_accuracy": "share of images that the classifier gives to the asked camera",
    "camera_accuracy_untransferred": "the same before the transfer",
    "camera_accuracy_real": "its accuracy on real images",
    "retrieval_source": "share whose own source is the nearest of the sources of 100 people",
    "retrieval": "share whose person is the nearest of 100 people, seen by other cameras (ReID model of real images)",
    "retrieval_untransferred": "the same of the untouched sources",
    "foreground_change": "mean change under the person's true mask, of the full range; lower keeps the person",
    "foreground_structure": "correlation of luminance gradients under the mask",
    "background_change": "mean change outside of the mask",
    "color_move": "how far the places' colours moved to the target's: 0 not at all, 1 all the way",
    "judge_move": "the same by a classifier's features",
    "pck": "share of asked joints found nearer than 0.1 of the pose's larger side",
    "pck_real": "the same on real images and their own poses: what the pose estimator can tell",
    "pck_source": "the same of the untouched sources against the asked poses",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
article { border-top: 1px solid #8886; padding: 1.2rem 0; }
h2 { margin: 0 0 .2rem; font-size: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #8883; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.wide { overflow-x: auto; } .quiet { opacity: .7; }
"""


def write_page(output: Path, systems: Sequence[System], about: str) -> Path:
    """``comparison.html`` and ``comparison.json`` from the records below ``output``; returns the page's path."""
    records = {system.recipe: _record(output, system) for system in systems}
    body = [f"<h1>Systems side by side</h1><p>{escape(about)}</p>", _table(systems, records)]
    body += [_article(output, system, records[system.recipe]) for system in systems]
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Systems side by side</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )
    _write(output / "comparison.json", json.dumps({"about": about, "systems": records}, indent=2) + "\n")
    return _write(output / "comparison.html", page)


def _record(output: Path, system: System) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((output / system.recipe / RECORD).read_text(encoding="utf-8"))
    return record


def _table(systems: Sequence[System], records: dict[str, dict[str, Any]]) -> str:
    head = "<tr><th>system<th>base<th>adds<th>gap<th>effect</tr>"
    rows = [
        f"<tr><td><a href='#{system.recipe}'>{system.recipe}</a><td>{escape(system.base)}<td>{escape(system.adds)}"
        f"<td>{system.gap}<td>{_headline(records[system.recipe]['figures'])}</tr>"
        for system in systems
    ]
    return f"<div class='wide'><table>{head}{''.join(rows)}</table></div>"


def _headline(figures: dict[str, float]) -> str:
    """The figure that tells most, with what it is to be held against."""
    pairs = [
        ("camera_accuracy", "camera_accuracy_untransferred"),
        ("camera_accuracy", "camera_accuracy_real"),
        ("fid", "fid_untrained"),
        ("pck", "pck_real"),
        ("foreground_change", "background_change"),
    ]
    known = [(one, other) for one, other in pairs if one in figures and other in figures]
    if not known:
        return ""
    one, other = known[0]
    return f"{one} {figures[one]:.3g} ({other} {figures[other]:.3g})"


def _article(output: Path, system: System, record: dict[str, Any]) -> str:
    picture = base64.b64encode((output / system.recipe / PICTURE).read_bytes()).decode()
    lines = ", ".join(record["lines"])
    budget = (
        f"{record['identity']['steps']} steps of {system.batch_size}, {record['training_seconds']:.0f} s; "
        f"{', '.join(f'{name} {value}' for name, value in system.settings.items())}"
    )
    rows = [
        f"<tr><td class='number'>{value:.3f}<td>{name}<td class='quiet'>{escape(MEANINGS[name])}</tr>"
        for name, value in record["figures"].items()
    ]
    return (
        f"<article id='{system.recipe}'><h2>{system.recipe}</h2>"
        f"<p class='quiet'>{escape(find_recipe(system.recipe).paper)} · {escape(budget)}</p>"
        f"<img alt='from top to bottom: {escape(lines)}' src='data:image/png;base64,{picture}'>"
        f"<p class='quiet'>From top to bottom: {escape(lines)}.</p>"
        f"<div class='wide'><table>{''.join(rows)}</table></div></article>"
    )


def _write(path: Path, text: str) -> Path:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path
