"""The benchmark's result for people and programs: Markdown, Parquet, and one page with plots."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from manifests.common.thumbnails import data_uri
from manifests.showing.page import render_page, write_page
from manifests.storage.whole_files import open_storage
from pipeline.experiments.benchmark.gaps import Gap
from pipeline.experiments.benchmark.pictures import Picture, draw_arm
from pipeline.experiments.benchmark.plot import Plot, make_plot
from pipeline.experiments.benchmark.records import ArmRecord
from pipeline.experiments.benchmark.results import Line, gains_table, measurements, summarize
from pipeline.experiments.benchmark.settings import Bench
from pipeline.experiments.benchmark.text import (
    BOTH,
    GAIN,
    MOVED,
    RECOGNISED,
    describe,
    doubts_about,
    gain,
    interval,
    paper_gains,
    results_text,
    settings_text,
    share,
    told,
    trained_on,
)

_TEMPLATE = resources.files("pipeline.experiments.benchmark") / "benchmark.html"


class Written(NamedTuple):
    """Where the results lie, and of each gap what they can tell."""

    paths: list[str]
    told: list[str]


def write_results(
    output: Path, records: Sequence[ArmRecord], tried: Sequence[ArmRecord], benches: Sequence[Bench], about: str
) -> Written:
    """``benchmark.html``, ``.md`` and ``.parquet`` (every measurement of ``records``), ``gains.parquet``, and
    ``settings.md``: all ``tried`` on the validation people. ``benches`` are the gaps by seed."""
    gaps = list({bench.gap.name: bench.gap for bench in benches}.values())
    lines = {gap.name: summarize(records, gap.name) for gap in gaps}
    measured = [gap for gap in gaps if lines[gap.name]]
    chosen_on = {name: summarize(tried, name, "validation") for name in dict.fromkeys(one.gap for one in tried)}
    gains = [gains_table(lines, "test"), gains_table(chosen_on, "validation")]
    tables = {"benchmark.parquet": measurements(records), "gains.parquet": pl.concat(gains, how="diagonal_relaxed")}
    storage = open_storage(str(output))
    for name, table in tables.items():
        data = io.BytesIO()
        table.write_parquet(data)
        storage.write(name, data.getvalue())
    sections = [_section(gap, lines[gap.name], _pictures(benches, gap)) for gap in measured]
    meanings = {"recognised": RECOGNISED, "moved": MOVED, "both": BOTH, "gain": GAIN}
    doubts = doubts_about(records, benches[0].settings) if benches else []
    page = render_page(_TEMPLATE, about=about, doubts=doubts, sections=sections, **meanings)
    texts = {
        "benchmark.md": results_text(measured, lines, about, doubts),
        "settings.md": settings_text(chosen_on, about),
        "benchmark.html": page,
    }
    written = [write_page(str(output / name), text) for name, text in texts.items()]
    words = [f"{gap.name}: {told(lines[gap.name])}" for gap in measured]
    return Written([*map(storage.locate, tables), *written], words)


def _pictures(benches: Sequence[Bench], gap: Gap) -> dict[str, Picture]:
    """What the arms made with the first seed that has it; arms that share a generator are shown once."""
    shown: dict[str, Picture] = {}
    for arm in gap.arms:
        for bench in benches:
            made = bench.gap.name == gap.name and arm.recipe and (bench.images_folder(arm) / "train").is_dir()
            name = "-".join(filter(None, (arm.recipe, arm.drawn)))
            if made and name not in shown:
                shown[name] = draw_arm(bench, arm)
    return shown


def _section(gap: Gap, lines: Sequence[Line], pictures: Mapping[str, Picture]) -> dict[str, Any]:
    papers, words = _published(gap), paper_gains(gap)
    plot = make_plot([line.gains["rank1"] for line in lines if line.gains], papers.values())
    # Every second label is left out on a phone, never zero's.
    ticks = [] if plot is None else [(plot.place(tick), _points(tick), plot.odd(tick)) for tick in plot.ticks]
    section: dict[str, Any] = {"name": gap.name, "title": gap.title, "about": describe(gap), "told": told(lines)}
    section["rows"] = [
        _row(line, words.get(line.arm, "–")) | _marks(line, plot, papers.get(line.arm)) for line in lines
    ]
    shown = [
        {"recipe": recipe, "lines": picture.lines, "data": data_uri(picture.png, "image/png")}
        for recipe, picture in pictures.items()
    ]
    return section | {"ticks": ticks, "zero": None if plot is None else plot.place(0), "pictures": shown}


def _published(gap: Gap) -> dict[str, float]:
    """Gains in rank-1 by arm."""
    return {arm.name: (arm.paper.rank1[1] - arm.paper.rank1[0]) / 100 for arm in gap.arms if arm.paper is not None}


def _row(line: Line, paper: str) -> dict[str, Any]:
    """The line's cells."""
    rank1 = line.gains.get("rank1")
    return {
        "name": line.arm,
        "norm": line.norm,
        "images": trained_on(line.images),
        "recognised": share(line.recognised),
        "moved": share(line.moved),
        "both": share(line.both),
        "rank1": share(line.rank1),
        "mean_ap": share(line.mean_ap),
        "gain": gain(rank1),
        "interval": interval(rank1) if rank1 else "–",
        "gain_map": gain(line.gains.get("mean_ap")),
        "against": line.against or "–",
        "paper": paper,
    }


def _marks(line: Line, plot: Plot | None, published: float | None) -> dict[str, Any]:
    """Where its gain stands in the plot."""
    effect = line.gains.get("rank1")
    if effect is None or plot is None:
        return {"dots": []}
    return {
        "dots": [plot.place(value) for value in effect.worlds],
        "mean": plot.place(effect.mean),
        "span": [plot.place(value) for value in effect.interval],
        "published": None if published is None else plot.place(published),
    }


def _points(value: float) -> str:
    return f"{100 * value:+g}".replace("-", "−") if value else "0"
