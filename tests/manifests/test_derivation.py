"""Run records of any shape have a reading; what they do not say is None or empty."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.derivation import runs
from manifests.store import Dataset, DatasetRun, open_dataset
from tests.manifests.manifest_rows import PLAN_ID, sha, source_rows


def closed(uri: str, run: Any, plan: str = PLAN_ID) -> Dataset:
    started = DatasetRun.start(uri, "source", plan, {0: 2}, run=run, append=True)
    started.sink.commit(0, source_rows(2))
    started.close()
    return open_dataset(uri)


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"inputs": None, "checkpoints": "ptgan", "annotations": [], "settings": 7, "environment": None},
        {"inputs": ["market", 3], "checkpoints": [{"name": "without a digest"}, None]},
    ],
)
def test_records_of_other_shapes_say_nothing(run: dict[str, Any], uri: str) -> None:
    (found,) = runs(closed(uri, run))
    assert (found.plan_id, found.job) == (PLAN_ID, "unknown")
    assert (found.inputs, found.checkpoints, dict(found.settings), dict(found.environment)) == ((), (), {}, {})


def test_inputs_annotations_and_models_by_their_role(uri: str) -> None:
    run = {
        "job": "synthesize",
        "inputs": [{"role": "target", "id": "ours", "digest": sha("ours"), "licence": "MIT", "consent": "asked"}],
        "annotations": {"uri": "s3://bucket/annotations", "digest": sha("annotations")},
        "checkpoints": [{"name": "ptgan", "sha256": sha("g"), "recipe": "ptgan"}],
    }
    (found,) = runs(closed(uri, run))
    assert [(one.name, one.role, one.licence) for one in found.inputs] == [
        ("ours", "target", "MIT"),
        ("annotations", "annotations", None),
    ]
    assert [(one.name, one.role, one.sha256) for one in found.checkpoints] == [("ptgan", "model", sha("g"))]


def test_runs_are_listed_oldest_first_with_their_ends(uri: str) -> None:
    first = closed(uri, {"job": "first"})
    second = closed(uri, {"job": "second"}, sha("second"))
    DatasetRun.start(uri, "source", sha("third"), {0: 1}, run={"job": "third"}, append=True)
    found = runs(open_dataset(uri))
    assert [run.job for run in found] == ["first", "second"]
    assert [run.closed for run in found] == [first.snapshot.created, second.snapshot.created]
    assert all(run.started for run in found)


def test_the_end_is_known_before_it_is_recorded(uri: str) -> None:
    """What is written beside the rows when a run closes is what is written when it is closed."""
    dataset = closed(uri, {})
    (recorded,) = runs(dataset)
    dataset.storage.write("run.json", b'{"plan": {"plan_id": "%s"}}' % PLAN_ID.encode())
    (unrecorded,) = runs(dataset)
    assert recorded.closed == unrecorded.closed == dataset.snapshot.created
