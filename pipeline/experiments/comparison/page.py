"""The comparison as one self-contained page: a row for each system, its pictures and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from manifests.common.json_text import json_text
from manifests.common.thumbnails import data_uri
from manifests.showing.page import figure, render_page, write_page
from pipeline.experiments.comparison.systems import System
from pipeline.experiments.comparison.trial import PICTURE, RECORD
from pipeline.generators.recipes import find_recipe

MEANINGS = {
    "fid": "distance to real images (Fréchet, our own ReID features); lower is better",
    "fid_untrained": "the same before training",
    "fid_untransferred": "the same of the untouched sources",
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
    "sharpness": "median variance of the Laplacian over that of real images; 1 is as sharp, lower is blur",
    "spectrum_worst": "power over that of real images in the worst band from 0.05 to 0.5 cycles a pixel, decibels",
    "grid": "how far a pattern that repeats every 2 or 4 pixels stands out, beside real images, decibels; 0 is none",
    "pck": "share of asked joints found nearer than 0.1 of the pose's larger side",
    "pck_real": "the same on real images and their own poses: what the pose estimator can tell",
    "pck_source": "the same of the untouched sources against the asked poses",
}
_TEMPLATE = resources.files("pipeline.experiments.comparison") / "comparison.html"
_BEFORE = {
    "fid": ("fid_untrained", "fid_untransferred"),
    "camera_accuracy": ("camera_accuracy_untransferred",),
    "retrieval": ("retrieval_untransferred",),
    "pck": ("pck_source",),
}
"""The figure that a measure had before anything was trained or changed: whichever of these is known."""
_REAL = {name: (f"{name}_real",) for name in ("fid", "coverage", "diversity", "camera_accuracy", "pck")}
"""The same figure of real images."""
_HEADLINES = (
    ("camera_accuracy", "camera_accuracy_untransferred"),
    ("camera_accuracy", "camera_accuracy_real"),
    ("fid", "fid_untrained"),
    ("pck", "pck_real"),
    ("foreground_change", "background_change"),
)
"""The figure that tells most, with what it is to be held against; the first whose two figures are known."""


class Measure(NamedTuple):
    """One line of a system's figures."""

    title: str
    meaning: str
    value: float
    before: float | None
    real: float | None


def write_comparison(output: Path, systems: Sequence[System], about: str) -> str:
    """``comparison.html`` and ``comparison.json`` from the records below ``output``; returns the page's path."""
    records = {system.name: _read_record(output, system) for system in systems}
    rows = [_row(output, system, records[system.name]) for system in systems]
    write_page(str(output / "comparison.json"), json_text({"about": about, "systems": records}, indent=2) + "\n")
    return write_page(str(output / "comparison.html"), render_page(_TEMPLATE, about=about, rows=rows))


def _read_record(output: Path, system: System) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((output / system.name / RECORD).read_text(encoding="utf-8"))
    return record


def _row(output: Path, system: System, record: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of one system."""
    settings = ", ".join(f"{name} {value}" for name, value in system.settings.items())
    steps = f"{record['identity']['steps']} steps of {system.batch_size} in {record['training_seconds']:.0f} s"
    return {
        "name": system.name,
        "base": system.base,
        "adds": system.adds,
        "gap": system.gap,
        "paper": find_recipe(system.recipe).paper,
        "budget": f"{steps}; {settings}" if settings else steps,
        "headline": _headline(record["figures"]),
        "lines": record["lines"],
        "picture": data_uri((output / system.name / PICTURE).read_bytes(), "image/png"),
        "measures": _measures(record["figures"]),
    }


def _measures(figures: Mapping[str, float]) -> list[Measure]:
    """A line for each figure, beside it the figures that it is to be held against."""
    beside = {
        other for pairs in (_BEFORE, _REAL) for name, others in pairs.items() if name in figures for other in others
    }
    return [
        Measure(_title(name), MEANINGS[name], value, _known(figures, _BEFORE, name), _known(figures, _REAL, name))
        for name, value in figures.items()
        if name not in beside
    ]


def _known(figures: Mapping[str, float], beside: Mapping[str, tuple[str, ...]], name: str) -> float | None:
    """The first figure of those ``beside`` one that was measured."""
    return next((figures[other] for other in beside.get(name, ()) if other in figures), None)


def _headline(figures: Mapping[str, float]) -> str:
    for one, other in _HEADLINES:
        if one in figures and other in figures:
            beside = _title(other).removeprefix(f"{_title(one)} ")
            return f"{_title(one)} {figure(figures[one])} ({beside} {figure(figures[other])})"
    return ""


def _title(name: str) -> str:
    """A figure's name as people write it."""
    first, _, rest = name.partition("_")
    return f"{first.upper() if first in ('fid', 'pck') else first} {rest.replace('_', ' ')}".strip()
