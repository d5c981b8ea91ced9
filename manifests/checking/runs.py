"""What must hold of ``run.json``: of every closed run it says what the snapshot says, and of no other run but one that
a claim knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manifests.checking.faults import Report
from manifests.common.json_text import lenient_json
from manifests.disk.claims import Claim, erasure_interrupted, next_number
from manifests.disk.run_form import RunRecord, recorded_plan
from manifests.disk.run_record import closed_runs, closed_state, load_run
from manifests.disk.snapshots import ERASING, RUN, BrokenDatasetError, dump
from manifests.reading.dataset import Dataset


def check_run_record(dataset: Dataset, report: Report) -> bool:
    """Check ``run.json``; whether a run or an erasure is under way, so that files of it may lie about."""
    snapshot, storage = dataset.snapshot, dataset.storage
    try:
        state = load_run(storage)
    except BrokenDatasetError as error:
        report.add("log", error.file, str(error))
        return False
    if state is None:
        report.add("log", RUN, "missing")
        return False
    interrupted = erasure_interrupted(storage, snapshot, state)
    if interrupted or state.get("status") == ERASING:
        report.add("erasure", RUN, "an erasure was interrupted: run the same erase command again")
        state = {**state, "status": "complete"}
    claim = Claim.load(storage, next_number(snapshot))
    if recorded_plan(state) in snapshot.plan_ids:
        _check_closed(dataset, state, report)
    elif state.get("status") in (None, "complete"):
        report.add("log", RUN, "it tells of a closed run whose plan is not one of the snapshot's")
    elif snapshot.runs:
        if claim is None or claim.plan_id != recorded_plan(state):
            report.add("log", RUN, "it tells of a plan that neither the snapshot nor a claim knows")
        if dump({"runs": state.get("earlier_runs")}) != dump({"runs": closed_runs(snapshot, None)}):
            report.add("log", RUN, "what it says of earlier runs is not what the snapshot says")
    return interrupted or claim is not None or recorded_plan(state) not in snapshot.plan_ids


def _check_closed(dataset: Dataset, state: RunRecord, report: Report) -> None:
    """``run.json`` against the snapshot, entry by entry; one of an older version holds kind and files alone."""
    snapshot = dataset.snapshot
    expected = closed_state(snapshot, None) if snapshot.runs else {"kind": snapshot.kind, "status": "complete"}
    found = state if snapshot.runs else {name: state.get(name) for name in expected}
    for entry in _differing(found, expected):
        report.add("log", RUN, f"its {entry} is not what the snapshot says: the command that wrote it mends it")


def _differing(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in sorted(found.keys() | expected.keys()):
            yield from _differing(found.get(key), expected.get(key), f"{path}.{key}" if path else key)
    elif lenient_json(found, sort_keys=True) != lenient_json(expected, sort_keys=True):
        yield path
