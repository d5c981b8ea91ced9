"""The statement has the form that in-toto and SLSA ask for, and says what the run record says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from manifests.describing.attestation import DATASET_DIGEST, STATEMENT
from manifests.describing.card import write_inspection_files
from manifests.disk.snapshots import Erasure
from manifests.reading.dataset import open_dataset
from manifests.reading.files import products
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, synthetic_rows

HEX = {"type": "string", "pattern": "^[0-9a-f]{40,64}$"}
URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"}
RESOURCE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": URI,
        "digest": {"type": "object", "additionalProperties": HEX, "minProperties": 1},
        "annotations": {"type": "object"},
    },
    "anyOf": [{"required": ["uri"]}, {"required": ["digest"]}],
    "additionalProperties": False,
}
# in-toto attestation framework, spec/v1/statement.md and resource_descriptor.md; SLSA v1.0 build provenance.
FORM = {
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": {**RESOURCE, "required": ["name", "digest"]}},
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": {
            "type": "object",
            "required": ["buildDefinition", "runDetails"],
            "properties": {
                "buildDefinition": {
                    "type": "object",
                    "required": ["buildType", "externalParameters", "resolvedDependencies"],
                    "properties": {
                        "buildType": URI,
                        "externalParameters": {"type": "object"},
                        "resolvedDependencies": {"type": "array", "items": RESOURCE},
                    },
                },
                "runDetails": {
                    "type": "object",
                    "required": ["builder", "metadata"],
                    "properties": {
                        "builder": {
                            "type": "object",
                            "required": ["id"],
                            "properties": {
                                "id": URI,
                                "version": {"type": "object", "additionalProperties": {"type": "string"}},
                            },
                        },
                        "metadata": {
                            "type": "object",
                            "properties": {"invocationId": {"type": "string"}, "startedOn": TIME, "finishedOn": TIME},
                            "additionalProperties": False,
                        },
                    },
                },
            },
        },
    },
}
RUN = {
    "job": "synthesize",
    "settings": {"seed": 7, "label_rule": "lsr"},
    "settings_sha256": sha("settings"),
    "inputs": [
        {"role": "source", "id": "market", "licence": "Apache-2.0", "digest": sha("market"), "uri": "/home/me/market"},
        {"role": "target", "id": "ours", "consent": "asked", "digest": sha("ours"), "uri": "s3://bucket/ours"},
    ],
    "checkpoints": [
        {"role": "generator", "name": "ptgan", "sha256": sha("generator"), "recipe": "ptgan", "uri": "/home/me/ptgan"}
    ],
    "environment": {
        "git_commit": "c0ffee" * 6 + "0000",
        "git_dirty": True,
        "lock_sha256": sha("lock"),
        "python": "3.11.7",
        "libraries": {"torch": "2.15.0", "ray": None},
    },
}


def closed(uri: str, plan: str = PLAN_ID, run: dict[str, Any] | None = None) -> Dataset:
    started = DatasetRun.start(uri, "synthetic", plan, {0: 3}, footer=FOOTER, run=run, append=True)
    started.sink.commit(0, synthetic_rows(0 if plan == PLAN_ID else 1, 3, plan))
    started.close()
    return open_dataset(uri)


def statement(dataset: Dataset) -> dict[str, Any]:
    data = dataset.storage.read(STATEMENT)
    assert data is not None
    value: dict[str, Any] = json.loads(data)
    jsonschema.validate(value, FORM)
    return value


@pytest.fixture(params=["local", "object store"])
def made(request: pytest.FixtureRequest, uri: str) -> Dataset:
    return closed(uri if request.param == "local" else f"memory://{uri}", run=RUN)


def test_the_subjects_are_the_data_sets_files(made: Dataset) -> None:
    expected = {file.path: file.sha256 for file in products(made, ["samples_meta.table"])}
    assert {one["name"]: one["digest"]["sha256"] for one in statement(made)["subject"]} == expected
    assert len(expected) == 2


def test_rejects_are_subjects_too(dataset: Dataset) -> None:
    names = {one["name"] for one in statement(dataset)["subject"]}
    assert names == {
        *(entry.path for entry in (*dataset.snapshot.files, *dataset.snapshot.rejects)),
        "samples_meta.table",
    }


def test_the_build_is_the_run_with_all_that_it_was_made_of(made: Dataset) -> None:
    build = statement(made)["predicate"]["buildDefinition"]
    run = {"job": "synthesize", "plan_id": PLAN_ID, "settings": RUN["settings"], "settings_sha256": sha("settings")}
    assert build["externalParameters"] == {"runs": [run]}
    found = {one["name"]: one for one in build["resolvedDependencies"]}
    assert found["reid-synth"]["digest"] == {"gitCommit": "c0ffee" * 6 + "0000"}
    assert found["reid-synth"]["annotations"] == {"dirty": True}
    assert found["requirements.lock"]["digest"] == {"sha256": sha("lock")}
    assert found["ptgan"]["digest"] == {"sha256": sha("generator")}
    assert found["market"]["digest"] == {DATASET_DIGEST: sha("market")}
    assert found["ours"]["annotations"] == {"role": "target", "consent": "asked"}
    assert found["ours"]["uri"] == "s3://bucket/ours"


def test_no_path_of_the_machine_that_made_it_is_told(made: Dataset) -> None:
    assert "/home/me" not in json.dumps(statement(made))


def test_the_details_say_when_and_with_what(made: Dataset) -> None:
    details = statement(made)["predicate"]["runDetails"]
    assert details["builder"]["version"] == {"torch": "2.15.0", "python": "3.11.7"}
    started = made.run["started"]
    finished = made.snapshot.created
    assert details["metadata"] == {"invocationId": PLAN_ID, "startedOn": started, "finishedOn": finished}


def test_appended_rows_add_their_run_and_what_it_was_made_of(uri: str) -> None:
    closed(uri, run=RUN)
    more = {**RUN, "checkpoints": [{"name": "spgan", "sha256": sha("spgan")}]}
    build = statement(closed(uri, sha("later"), more))["predicate"]["buildDefinition"]
    assert [run["plan_id"] for run in build["externalParameters"]["runs"]] == [PLAN_ID, sha("later")]
    names = [one["name"] for one in build["resolvedDependencies"]]
    assert sorted(names) == ["market", "ours", "ptgan", "reid-synth", "requirements.lock", "spgan"]


def test_a_run_that_recorded_nothing_is_still_a_valid_statement(uri: str) -> None:
    build = statement(closed(uri))["predicate"]["buildDefinition"]
    assert build["externalParameters"]["runs"][0]["job"] == "unknown"
    assert build["resolvedDependencies"] == []


def test_an_erasure_is_said_and_not_of_whom(made: Dataset) -> None:
    erasure = Erasure("2026-01-02T03:04:05+00:00", 2, ("key-of-somebody",), 4, 1)
    later = Dataset(made.uri, replace(made.snapshot, erasures=(erasure,)), made.storage)
    write_inspection_files(later)
    taken = statement(later)["predicate"]["buildDefinition"]["externalParameters"]["erasures"]
    assert taken == [{"time": erasure.time, "snapshot": 2, "rows": 4, "rejects": 1}]
    assert "key-of-somebody" not in json.dumps(statement(later))
