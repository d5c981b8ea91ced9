"""The same command started many times at one moment: all of them end, and the rows are there once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from manifests.__main__ import main
from tests.chaos.bench import Bench
from tests.chaos.commands import Ended, Forked, timed
from tests.chaos.datasets import compare_folders, digests, look
from tests.chaos.tally import Tally
from tests.chaos.tools import GONE, Sets, as_erased
from tests.chaos.writers import drive, expected

STARTS = 20
WAIT = 1.0
"""Seconds within which all processes are up, before any of them begins."""


def run(bench: Bench) -> Iterator[Tally]:
    """The rows of the table, each when it is complete."""
    yield runs(bench)
    sets = Sets.make(bench.folder)
    yield merges(bench, sets)
    yield exports(bench, sets)
    yield erasures(bench, sets)


def runs(bench: Bench) -> Tally:
    """Drivers of one plan."""
    tally = bench.tally(f"{STARTS} starts of a run at one moment", 3)
    for place in bench.trials(tally):
        uri = str(place / "set")
        failed = started_at_once(place, drive, uri)
        tally.add(look(uri, expected()), problems=failed)
    return tally


def merges(bench: Bench, sets: Sets) -> Tally:
    """`merge` of the same data sets to the same place."""
    tally = bench.tally(f"{STARTS} starts of merge at one moment", 1)
    for place in bench.trials(tally):
        uri = str(place / "union")
        failed = started_at_once(place, main, ["merge", *sets.inputs, "--output", uri])
        tally.add(look(uri, sets.union), problems=failed)
    return tally


def exports(bench: Bench, sets: Sets) -> Tally:
    """`export` to the same place: one of them writes it, the others say so in a line."""
    tally = bench.tally(f"{STARTS} starts of export at one moment", 1)
    command = ["export", sets.inputs[0], "--to", "market1501", "--output"]
    timed(bench.folder, main, [*command, str(bench.folder / "whole")])
    for place in bench.trials(tally):
        output = place / "export"
        ended = at_once(place, main, [*command, str(output)])
        first = [] if any(one.status == 0 for one in ended) else ["none of them wrote the export"]
        tally.add(compare_folders(output, digests(bench.folder / "whole")), ended, first)
    return tally


def erasures(bench: Bench, sets: Sets) -> Tally:
    """`erase` of one person from the same data sets; who comes too late says so, and nobody else is touched."""
    tally = bench.tally(f"{STARTS} starts of erase at one moment", 1)
    for place in bench.trials(tally):
        uris = sets.copied(place)
        command = ["erase", *uris, "--identity", GONE]
        ended = [as_erased(one) for one in at_once(place, main, command)]
        again = as_erased(Forked(place, main, command).wait())
        tally.add(sets.look(uris), ended, again=again)
    return tally


def started_at_once(place: Path, call: Callable[..., object], *arguments: Any) -> list[str]:
    """What went wrong with commands of which every one should end well."""
    ended = at_once(place, call, *arguments)
    return [one.trouble or one.err.strip() for one in ended if one.status != 0]


def at_once(place: Path, call: Callable[..., object], *arguments: Any) -> list[Ended]:
    """How `STARTS` processes ended that began at one moment."""
    moment = time.monotonic() + WAIT
    processes = [Forked(place, _wait_and_call, moment, call, arguments) for _ in range(STARTS)]
    return [process.wait() for process in processes]


def _wait_and_call(moment: float, call: Callable[..., object], arguments: tuple[Any, ...]) -> object:
    time.sleep(max(0.0, moment - time.monotonic()))
    return call(*arguments)
