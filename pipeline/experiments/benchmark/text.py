"""The benchmark's figures in words and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.experiments.benchmark.gaps import MARKET, Gap
from pipeline.experiments.benchmark.power import TOLD, Effect, worlds_needed
from pipeline.experiments.benchmark.records import ArmRecord
from pipeline.experiments.benchmark.results import Line, detectable, gains_of_generated
from pipeline.experiments.benchmark.settings import BenchmarkSettings

RECOGNISED = (
    "share of the generated images that the baseline, its batch norms re-estimated on them, gives to the person who "
    "they were made from"
)
GAIN = (
    "paired difference from the equally long training without generated images, of the same seeds, in points ± its "
    "standard error, bootstrapped over worlds, trainings and people; none is told where its 95% interval holds zero"
)
MOVED = "share of them that classifiers taught by real images give to the camera, domain or pose asked for"
BOTH = "share of those in which the person is recognised and that have moved; no product of the two"
_HEAD = (
    *("arm", "batch norm", "trained on", "recognised", "moved", "both", "rank-1", "mAP"),
    *("gain in rank-1 (95%)", "gain in mAP (95%)", "over"),
)
_FEW_QUERIES = 200


def results_text(
    gaps: Sequence[Gap], lines: Mapping[str, Sequence[Line]], about: str, doubts: Sequence[str] = ()
) -> str:
    """The tables as GitHub shows them, ``doubts`` above them."""
    text = ["# Does the synthetic data help?", "", about, "", *(line for one in doubts for line in (f"**{one}**", ""))]
    for gap in gaps:
        papers = paper_gains(gap)
        text += [f"## {gap.title.capitalize()}", "", describe(gap), ""]
        rows = [[*_cells(line), papers.get(line.arm, "–")] for line in lines[gap.name]]
        text += [*_table([*_HEAD, "gain of the paper"], rows), "", told(lines[gap.name]), ""]
    return "\n".join([*text, *_legend()])


def settings_text(lines: Mapping[str, Sequence[Line]], about: str) -> str:
    """All that was tried and what it gave on the people that settings are chosen on."""
    text = ["# All settings tried, on the validation people", "", about, ""]
    for gap, some in lines.items():
        rows = [[*_cells(line), _settings(line.settings)] for line in some]
        text += [f"## {gap}", "", *_table([*_HEAD, "settings"], rows), ""]
    return "\n".join([*text, *_legend()])


def doubts_about(records: Sequence[ArmRecord], settings: BenchmarkSettings) -> list[str]:
    """What makes figures of ``records`` worth little: one seed, few queries, trainings below the full budget."""
    found = []
    seeds: dict[str, set[int]] = {}
    for record in records:
        seeds.setdefault(record.gap, set()).add(record.seed)
    if seeds and min(map(len, seeds.values())) < 2:
        found.append("One seed: the intervals hold the noise of people and trainings, and not that of other worlds.")
    queries = [int(one.figures["queries"]) for record in records for one in record.measured if one.part == "test"]
    if queries and min(queries) < _FEW_QUERIES:
        found.append(f"Few queries: {min(queries)}, so that one is worth {share(1 / min(queries))} points.")
    full = BenchmarkSettings()
    if settings.budget < full.budget:
        found.append(f"A quick look: {settings.budget:.2g} of the generators' full steps say little of what they can.")
    if settings.reid_epochs < full.reid_epochs:
        often = f"{settings.reid_epochs:g} times, not {full.reid_epochs:g}"
        found.append(f"ReID networks see their real images {often}: they have not learned what they could.")
    return found


def describe(gap: Gap) -> str:
    """What is given and what is measured, in a sentence."""
    given = [f"at most {gap.people} people" if gap.people else "all training people"]
    given += [f"at most {gap.images} images of each"] if gap.images else []
    given += [f"cameras {', '.join(map(str, gap.cameras))} alone"] if gap.cameras else []
    where = "other people of the same place" if gap.measured_on == MARKET else "people of another place"
    return f"Trained on the {MARKET} domain ({', '.join(given)}); measured on {where}."


def told(lines: Sequence[Line]) -> str:
    """The smallest gain that can be told in a gap, and how many worlds it would take to tell `TOLD`."""
    effects = gains_of_generated(lines, "rank1")
    if not effects:
        return "Nothing generated was measured beside a baseline of the same seeds."
    rank1, mean_ap = (f"{100 * (detectable(lines, figure) or 0):.1f}" for figure in ("rank1", "mean_ap"))
    least_gain = f"{rank1} points in rank-1, {mean_ap} in mAP"
    return f"Smallest gain that can be told of every arm with generated images: {least_gain}. {worlds_asked(effects)}"


def worlds_asked(effects: Sequence[Effect]) -> str:
    """How many worlds it takes to tell `TOLD` of each arm's effect, and how many more these are; also of half of them,
    for the most of many estimates is often too high."""
    points, hardest = f"{100 * TOLD:g} points in rank-1", max(effects, key=worlds_needed)
    needed, measured = worlds_needed(hardest), len(hardest.worlds)
    if measured > 1 and needed <= measured:
        return f"Its {measured} worlds (seeds) tell {points} of each."
    half = max(2, sorted(map(worlds_needed, effects))[(len(effects) - 1) // 2])
    of_half = f"; for half of the arms {half} do" if half < needed else ""
    if measured == 1:
        needed = max(needed, 2)  # one does not say how they differ
        return f"To tell {points} of each takes at least {needed} worlds (seeds), {needed - 1} more{of_half}."
    more = f"{needed} worlds (seeds) that differ as these {measured} do, {needed - measured} more"
    return f"To tell {points} of each takes {more}{of_half}."


def share(value: float | None) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.1f}"


def gain(effect: Effect | None) -> str:
    """A difference of shares in percentage points, and its standard error; none where its interval holds zero."""
    if effect is None:
        return "–"
    low, high = effect.interval
    return "none told" if low <= 0 <= high else f"{_signed(effect.mean)} ± {100 * effect.error:.1f}"


def interval(effect: Effect) -> str:
    """The 95% interval in points."""
    return " to ".join(map(_signed, effect.interval))


def trained_on(images: Mapping[str, int]) -> str:
    """How many images of what kind."""
    return " + ".join(f"{count} {kind}" for kind, count in images.items() if count)


def paper_gains(gap: Gap) -> dict[str, str]:
    """By arm, what the paper gained in rank-1, and on what."""
    found = {}
    for arm in gap.arms:
        if arm.paper is not None:
            before, after = arm.paper.rank1
            found[arm.name] = f"{_signed((after - before) / 100)} ({before:g} to {after:g}; {arm.paper.where})"
    return found


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _cells(line: Line) -> list[str]:
    measured = [share(value) for value in (line.recognised, line.moved, line.both, line.rank1, line.mean_ap)]
    gains = [_with_interval(line.gains.get(figure)) for figure in ("rank1", "mean_ap")]
    return [line.arm, line.norm, trained_on(line.images), *measured, *gains, line.against or "–"]


def _with_interval(effect: Effect | None) -> str:
    return gain(effect) if effect is None else f"{gain(effect)} ({interval(effect)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _settings(identity: Mapping[str, Any]) -> str:
    """What an arm was told beside the benchmark's own settings."""
    words = []
    for name, value in identity["arm"].items():
        inner = value.items() if isinstance(value, Mapping) else [(name, value)]
        words += [f"{key} {one:g}" if isinstance(one, float) else f"{key} {one}" for key, one in inner]
    return ", ".join(words)


def _legend() -> list[str]:
    words = {
        "recognised": RECOGNISED,
        "moved": MOVED,
        "both": BOTH,
        "gain": GAIN,
        "told": "found in four of five runs like this, at the 5% level",
        "re-estimated": "with the batch-norm statistics of unlabelled images of the measured place (AdaBN)",
    }
    return [" ".join(f"{name}: {meaning}." for name, meaning in words.items()), ""]
