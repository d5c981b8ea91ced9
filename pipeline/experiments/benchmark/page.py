"""The benchmark's result for people and programs: Markdown, Parquet, and one page with plots."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from manifests.showing.page import data_uri, render_page, write_page
from manifests.storage.whole_files import open_storage
from pipeline.experiments.benchmark.gaps import MARKET, Gap
from pipeline.experiments.benchmark.pictures import Picture, draw_arm
from pipeline.experiments.benchmark.records import ArmRecord
from pipeline.experiments.benchmark.results import Line, Spread, measurements, summarize

_ROOM = 0.2
"""Between the outermost dot and the plot's edge, in steps of its scale."""
RECOGNISED = "share of the generated images that the baseline gives to the person who they were made from"
_TEMPLATE = resources.files("pipeline.experiments.benchmark") / "benchmark.html"


class Plot(NamedTuple):
    """Where the dots of a gap's gains stand, as shares of the width: zero, and a tick for each label."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """0 at the left, 100 at the right."""
        return 100 * (value - self.low) / (self.high - self.low)

    def odd(self, tick: float) -> bool:
        """Whether a tick is an odd number of steps from zero."""
        return round(tick / (self.ticks[1] - self.ticks[0])) % 2 == 1


def write_results(output: Path, records: Sequence[ArmRecord], gaps: Sequence[Gap], about: str) -> list[str]:
    """``benchmark.parquet``, ``benchmark.md`` and ``benchmark.html`` in ``output``; returns where they lie."""
    table = measurements(records)
    lines = {gap.name: summarize(table, gap) for gap in gaps}
    measured = [gap for gap in gaps if lines[gap.name]]
    data = io.BytesIO()
    table.write_parquet(data)
    storage = open_storage(str(output))
    storage.write("benchmark.parquet", data.getvalue())
    sections = [_section(gap, lines[gap.name], _pictures(output, records, gap)) for gap in measured]
    written = [
        write_page(str(output / "benchmark.md"), markdown(measured, lines, about)),
        write_page(
            str(output / "benchmark.html"),
            render_page(_TEMPLATE, about=about, recognised=RECOGNISED, sections=sections),
        ),
    ]
    return [storage.locate("benchmark.parquet"), *written]


def markdown(gaps: Sequence[Gap], lines: dict[str, list[Line]], about: str) -> str:
    """The tables as GitHub shows them."""
    text = ["# Does the synthetic data help?", "", about, ""]
    for gap in gaps:
        text += [f"## {gap.title.capitalize()}", "", describe(gap), ""]
        text += ["| arm | trained on | recognised | rank-1 | mAP | gain in rank-1 | gain of the paper |"]
        text += ["| --- " * 7 + "|"]
        for line in lines[gap.name]:
            figures = [recognised(line), share(line.rank1), share(line.mean_ap), gain(line.gain), paper(line)]
            cells = [line.arm.name, line.images, *figures]
            text.append(f"| {' | '.join(cells)} |")
        text.append("")
    text += [f"recognised: {RECOGNISED}.", ""]
    return "\n".join(text)


def describe(gap: Gap) -> str:
    """What is given and what is measured, in a sentence."""
    given = [f"at most {gap.people} people" if gap.people else "all training people"]
    given += [f"at most {gap.images} images of each"] if gap.images else []
    given += [f"cameras {', '.join(map(str, gap.cameras))} alone"] if gap.cameras else []
    where = "other people of the same place" if gap.measured_on == MARKET else "people of another place"
    return f"Trained on the {MARKET} domain ({', '.join(given)}); measured on {where}."


def share(value: Spread) -> str:
    """A share in percent, with its deviation over seeds."""
    return f"{100 * value.mean:.1f}" + (f" ± {100 * value.deviation:.1f}" if value.deviation is not None else "")


def gain(value: Spread | None) -> str:
    """A difference of shares in percentage points."""
    if value is None:
        return "–"
    text = f"{100 * value.mean:+.1f}" + (f" ± {100 * value.deviation:.1f}" if value.deviation is not None else "")
    return text.replace("-", "−")


def recognised(line: Line) -> str:
    """In percent, how many of the generated images still show their person."""
    return "–" if line.recognised is None else share(line.recognised)


def paper(line: Line) -> str:
    """What the paper gained in rank-1, and on what."""
    if line.paper is None:
        return "–"
    before, after = line.paper.rank1
    return f"{after - before:+.1f} ({before:g} to {after:g}; {line.paper.where})".replace("-", "−", 1)


def _pictures(output: Path, records: Sequence[ArmRecord], gap: Gap) -> dict[str, Picture]:
    """What the arms made with the first seed; arms that share a generator are shown once."""
    seeds = {record.arm: record.seed for record in reversed(records) if record.gap == gap.name}
    shown = {arm.recipe: arm for arm in reversed(gap.arms) if arm.recipe and arm.name in seeds}
    return {recipe: draw_arm(output, seeds[arm.name], gap, arm) for recipe, arm in reversed(shown.items()) if recipe}


def _section(gap: Gap, lines: list[Line], pictures: dict[str, Picture]) -> dict[str, Any]:
    plot = _plot(lines)
    rows = []
    for line in lines:
        row: dict[str, Any] = {"name": line.arm.name, "images": line.images, "recognised": recognised(line)}
        row |= {
            "rank1": share(line.rank1),
            "mean_ap": share(line.mean_ap),
            "gain": gain(line.gain),
            "paper": paper(line),
            "dots": [],
        }
        if line.gain is not None and plot is not None:
            row["dots"] = [plot.place(value) for value in line.gain.values]
            row["mean"] = plot.place(line.gain.mean)
            published = None if line.paper is None else (line.paper.rank1[1] - line.paper.rank1[0]) / 100
            row["published"] = None if published is None else plot.place(published)
        rows.append(row)
    # Every second label is left out on a phone, never zero's.
    ticks = [] if plot is None else [(plot.place(tick), _points(tick), plot.odd(tick)) for tick in plot.ticks]
    zero = None if plot is None else plot.place(0)
    section: dict[str, Any] = {"name": gap.name, "title": gap.title, "about": describe(gap), "rows": rows}
    shown = [
        {"recipe": recipe, "lines": picture.lines, "data": data_uri(picture.png, "image/png")}
        for recipe, picture in pictures.items()
    ]
    return section | {"ticks": ticks, "zero": zero, "pictures": shown}


def _points(value: float) -> str:
    return f"{100 * value:+g}".replace("-", "−") if value else "0"


def _plot(lines: list[Line]) -> Plot | None:
    """The range of all gains and of zero, in steps of 5 points (10 where that would be more than 8)."""
    values = [value for line in lines if line.gain for value in line.gain.values]
    values += [(line.paper.rank1[1] - line.paper.rank1[0]) / 100 for line in lines if line.paper and line.gain]
    if not values:
        return None
    least, most = min(0.0, *values), max(0.0, *values)
    step = 0.05 if most - least < 0.4 else 0.1
    first, last = math.floor(least / step - _ROOM), math.ceil(most / step + _ROOM)
    return Plot(first * step, last * step, tuple(round(index * step, 4) for index in range(first, last + 1)))
