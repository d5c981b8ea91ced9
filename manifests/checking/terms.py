"""What must hold of the terms on a synthetic row: they claim no more than those of all that its run says went in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manifests.disk.snapshots import BrokenDatasetError
from manifests.format.schema import ADDED_COLUMNS, NEEDS_TEACHER, SYNTHETIC_SCHEMA, as_written
from manifests.format.terms import UNSTATED, Terms, firmer, laxer, of_model
from manifests.reading.dataset import Dataset
from manifests.reading.runs import Run, runs

Finding = tuple[str, str]


class RecordedTerms:
    """The terms that the run records of a data set name, by the plan that made a row."""

    def __init__(self, dataset: Dataset) -> None:
        """A record that cannot be read names none: that is a fault of its own."""
        try:
            self._runs = {run.plan_id: run for run in runs(dataset)}
        except BrokenDatasetError:
            self._runs = {}

    def check(self, row: Mapping[str, Any]) -> Iterator[Finding]:
        """Rows of runs that are not recorded, or that wrote no terms yet, are left alone."""
        run = self._runs.get(row["plan_id"])
        if run is None or not _writes_terms(run) or not set(ADDED_COLUMNS) <= row.keys():
            return
        if missing := [name for name in ADDED_COLUMNS if not row[name]]:
            yield "terms", f"{' and '.join(missing)} not stated, not even as {UNSTATED!r}"
            return
        for what, several in _went_in(run, row):
            # One id may stand for images under several terms: the row is under one of them.
            if all(laxer(row["licence"], one.licence) for one in several):
                yield "terms", f"licence {row['licence']!r} is laxer than that of {what}, {several[0].licence!r}"
            if all(firmer(row["consent_basis"], one.consent_basis) for one in several):
                stated = f"consent_basis {row['consent_basis']!r}"
                yield "terms", f"{stated} is firmer than that of {what}, {several[0].consent_basis!r}"


def _writes_terms(run: Run) -> bool:
    version = run.schema_version
    return version is not None and set(ADDED_COLUMNS) <= set(as_written(SYNTHETIC_SCHEMA, version).names)


def _went_in(run: Run, row: Mapping[str, Any]) -> Iterator[tuple[str, list[Terms]]]:
    """What is recorded of the data sets of the row's images, of the target, of the models that made and labelled it."""
    images = {source["dataset_id"] for source in row["sources"]}
    stated: dict[str, list[Terms]] = {}
    for one in run.inputs:
        terms = Terms.of(one.licence, one.consent)
        if one.role == "target":
            yield f"target {one.name}", [terms]
        elif one.role == "source" and one.name in images:
            stated.setdefault(one.name, []).append(terms)
    yield from stated.items()
    labelled_by = "teacher" if row["label_rule"] in NEEDS_TEACHER else None
    for model in run.checkpoints:
        if model.sha256 in row["checkpoint_sha256s"] or model.role == labelled_by:
            yield f"{model.role} {model.name}", [of_model(model.licence, model.trained_on)]
