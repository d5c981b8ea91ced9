"""What must hold of the metadata beside a data set: it names exactly the snapshot's files, with their digests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from manifests.checking.faults import Report
from manifests.describing.attestation import PREDICATE_TYPE, STATEMENT, STATEMENT_TYPE
from manifests.describing.card import SAMPLES_META
from manifests.describing.croissant import CROISSANT
from manifests.disk.snapshots import load
from manifests.disk.tables import present_path
from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.reading.files import products

_Named = Iterator[tuple[str, str]]


def check_metadata(dataset: Dataset, report: Report) -> None:
    """Check ``croissant.json`` and ``provenance.intoto.json``; data sets of before 1.1 may have neither."""
    present = {}
    for file in (CROISSANT, STATEMENT):
        try:
            value = load(dataset.storage, file)
        except UserError as error:
            report.add("metadata", file, str(error))
            continue
        if value is not None:
            present[file] = value
        elif dataset.snapshot.schema_version != "1.0":
            report.add("missing", file, "the data set has none: `describe` makes it")
    if not present:
        return
    expected = _expected(dataset)
    for file, value in present.items():
        try:
            named = list(_READ[file](value))
            _check_named(file, named, expected, report)
            if file == CROISSANT:
                _check_includes(value, dataset, report)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            report.add("metadata", file, f"it does not have the form that this package writes: {error!r}")


def _expected(dataset: Dataset) -> dict[str, str | None]:
    """Digests by path; None for the index where it is not there, which is a fault of its own."""
    index = present_path(dataset.storage, SAMPLES_META)
    try:
        return {file.path: file.sha256 for file in products(dataset, [index])}
    except UserError:
        return {**{file.path: file.sha256 for file in products(dataset)}, index: None}


def _of_croissant(value: Mapping[str, Any]) -> _Named:
    for file in value["distribution"]:
        if file["@type"] == "cr:FileObject":
            yield file["contentUrl"], file["sha256"]


def _of_statement(value: Mapping[str, Any]) -> _Named:
    if (value["_type"], value["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError(f"{value['_type']} with a predicate of {value['predicateType']}")
    for subject in value["subject"]:
        yield subject["name"], subject["digest"]["sha256"]


_READ: dict[str, Callable[[Mapping[str, Any]], _Named]] = {CROISSANT: _of_croissant, STATEMENT: _of_statement}


def _check_named(file: str, named: list[tuple[str, str]], expected: Mapping[str, str | None], report: Report) -> None:
    for path, times in Counter(path for path, _ in named).items():
        if times > 1:
            report.add("metadata", file, f"names {path!r} {times} times")
    digests = dict(named)
    for path, digest in digests.items():
        if path not in expected:
            report.add("metadata", file, f"names {path!r}, which is not one of the data set's files")
        elif digest != (expected[path] or digest):
            report.add("metadata", file, f"its SHA-256 of {path} is not the file's")
    for path in expected.keys() - digests.keys():
        report.add("metadata", file, f"does not name {path}")


def _check_includes(value: Mapping[str, Any], dataset: Dataset, report: Report) -> None:
    """Readers take the rows from these files, without looking at digests."""
    sets = [one["includes"] for one in value["distribution"] if one["@type"] == "cr:FileSet"]
    shards = [entry.path for entry in dataset.snapshot.files]
    if shards and sets != [shards]:
        report.add("metadata", CROISSANT, "its set of shards is not the snapshot's")
