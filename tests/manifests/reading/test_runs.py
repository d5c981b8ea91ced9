"""Run records of any shape have a reading; what they do not say is None or empty."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.describing.attestation import statement
from manifests.describing.croissant import croissant
from manifests.describing.statements import terms
from manifests.disk.snapshots import dump
from manifests.erasing.models import models_behind
from manifests.reading.dataset import open_dataset
from manifests.reading.runs import Environment, runs
from manifests.showing.diff import diff
from manifests.showing.diff_text import as_text as diff_as_text
from manifests.showing.trace import trace
from manifests.showing.trace_text import as_text as chain_as_text
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, source_rows, synthetic_rows
from tests.manifests.run_records import rewrite_record


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
        {"environment": {"libraries": "torch", "git_commit": None, "fingerprint": []}},
        {"inputs": ["market", 3], "checkpoints": [{"name": "without a digest"}, None]},
    ],
)
def test_records_of_other_shapes_say_nothing(run: dict[str, Any], uri: str) -> None:
    (found,) = runs(closed(uri, run))
    assert (found.plan_id, found.job) == (PLAN_ID, "unknown")
    assert (found.inputs, found.checkpoints, dict(found.settings), found.environment) == ((), (), {}, Environment())


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


_NAMES = (
    *("job", "settings", "settings_sha256", "inputs", "annotations", "models", "checkpoints", "environment", "scores"),
    *("calibration", "diagram", "role", "id", "uri", "digest", "licence", "name", "sha256", "recipe", "trained_on"),
    *("source", "dataset_ids", "subjects", "licences", "libraries", "git_commit", "fingerprint", "low", "right"),
)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set whose run record is written again and again."""
    uri = str(tmp_path_factory.mktemp("told") / "set")
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 2}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(0, 2))
    run.close()
    return open_dataset(uri)


@settings(max_examples=60)
@given(record=st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=6))
def test_any_record_is_told_by_everything_that_reads_it(record: dict[str, Any], told: Dataset) -> None:
    """`trace`, `diff`, the statement, the metadata and what is said of models, of a record of any shape."""
    told = rewrite_record(told.uri, lambda state: state.update(run=record))
    assert told.run["run"] == record
    sample = told.read(["sample_id"]).column(0)[0].as_py()
    assert chain_as_text(trace(told, sample))
    assert diff_as_text(diff(told, told)).endswith("same")
    for made in (statement(told, []), croissant(told, [])):
        assert json.loads(dump(made))
    assert models_behind([told], frozenset({"key"}), {"market"})
    assert list(terms(told))
