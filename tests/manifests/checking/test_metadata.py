"""Metadata that does not name exactly the data set's files is a fault, each said once and where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.checking.validate import validate
from manifests.describing.attestation import STATEMENT
from manifests.describing.croissant import CROISSANT
from manifests.writing.run import Dataset

Edit = Callable[[dict[str, Any]], Any]


def edit_json(dataset: Dataset, file: str, edit: Edit) -> None:
    path = Path(dataset.uri, file)
    value = json.loads(path.read_bytes())
    edit(value)
    path.write_text(json.dumps(value))


def faults(dataset: Dataset) -> list[str]:
    return [str(fault) for fault in validate(dataset.uri).faults]


def extra(path: str) -> dict[str, str]:
    return {"@type": "cr:FileObject", "contentUrl": path, "sha256": "0" * 64}


CASES: dict[str, tuple[str, Edit, str]] = {
    "a shard is not named": (CROISSANT, lambda value: value["distribution"].pop(0), "does not name data/000000-"),
    "another digest": (
        CROISSANT,
        lambda value: value["distribution"][1].update(sha256="0" * 64),
        "its SHA-256 of data/000001-",
    ),
    "a path that leads out": (
        CROISSANT,
        lambda value: value["distribution"].append(extra("../x.parquet")),
        "names '../x.parquet', which is not one of the data set's files",
    ),
    "an absolute path": (
        CROISSANT,
        lambda value: value["distribution"].append(extra("/etc/passwd")),
        "names '/etc/passwd', which is not",
    ),
    "a URL": (
        CROISSANT,
        lambda value: value["distribution"].append(extra("http://example.com/x.parquet")),
        "names 'http://example.com/x.parquet', which is not",
    ),
    "a file twice": (CROISSANT, lambda value: value["distribution"].append(value["distribution"][0]), "2 times"),
    "rows of other files": (
        CROISSANT,
        lambda value: value["distribution"][-1].update(includes=["../*.parquet"]),
        "its set of shards is not the snapshot's",
    ),
    "no list of files": (CROISSANT, lambda value: value.pop("distribution"), "does not have the form"),
    "files that are none": (CROISSANT, lambda value: value.update(distribution=[None]), "does not have the form"),
    "a subject too few": (STATEMENT, lambda value: value["subject"].pop(), "does not name samples_meta.table"),
    "a subject too many": (
        STATEMENT,
        lambda value: value["subject"].append({"name": "x", "digest": {"sha256": "0" * 64}}),
        "names 'x', which is not",
    ),
    "a subject's digest": (
        STATEMENT,
        lambda value: value["subject"][0]["digest"].update(sha256="0" * 64),
        "its SHA-256 of data/000000-",
    ),
    "another predicate": (STATEMENT, lambda value: value.update(predicateType="x"), "with a predicate of x"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_found_and_named(case: str, dataset: Dataset) -> None:
    file, edit, message = CASES[case]
    edit_json(dataset, file, edit)
    (fault,) = faults(dataset)
    assert fault.startswith(f"metadata: {file}: ")
    assert message in fault


@pytest.mark.parametrize("file", [CROISSANT, STATEMENT])
def test_metadata_that_is_not_json(file: str, dataset: Dataset) -> None:
    Path(dataset.uri, file).write_text("[]")
    (fault,) = faults(dataset)
    assert fault.startswith(f"metadata: {file}: ")
    assert "holds no JSON object; " in fault


def test_only_data_sets_of_before_have_neither(dataset: Dataset) -> None:
    for file in (CROISSANT, STATEMENT):
        Path(dataset.uri, file).unlink()
        assert f"missing: {file}: the data set has none: `describe` makes it" in faults(dataset)
    edit_json(dataset, "_snapshots/1.json", lambda value: value.update(schema_version="1.0"))
    assert faults(dataset) == []
