"""Planted faults in the terms of synthetic rows are found, and rows that say enough are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.checking.validate import validate
from manifests.writing.merge import merge
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, synthetic_rows
from tests.manifests.run_records import rewrite_record

NC, NOBODY = "CC-BY-NC-4.0", "drawn by a program; shows nobody"
SOURCE = {"role": "source", "id": "market-like", "licence": NC, "consent": "informed consent"}
GENERATOR = {"role": "generator", "name": "g", "sha256": sha("generator")}


def with_terms(table: pa.Table, licence: str | None, basis: str | None) -> pa.Table:
    for name, value in (("licence", licence), ("consent_basis", basis)):
        column = pa.array([value] * table.num_rows, pa.string())
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def written(uri: Path, licence: str | None, basis: str | None, **run: Any) -> str:
    started = DatasetRun.start(str(uri), "synthetic", PLAN_ID, {0: 2}, footer=FOOTER, run=run)
    started.sink.commit(0, with_terms(synthetic_rows(0, 2), licence, basis))
    started.close()
    return str(uri)


def faults(uri: str) -> set[str]:
    found = validate(uri).faults
    assert {fault.check for fault in found} <= {"terms"}
    assert all(fault.row for fault in found)
    return {fault.message for fault in found}


@pytest.mark.parametrize(
    ("licence", "basis"),
    [(NC, "informed consent"), ("research only", "unstated"), (f"{NC} AND ODbL-1.0", "informed consent AND opt-in")],
)
def test_rows_that_claim_no_more_than_what_went_in(licence: str, basis: str, tmp_path: Path) -> None:
    assert faults(written(tmp_path / "set", licence, basis, inputs=[SOURCE])) == set()


def test_a_licence_that_is_laxer_than_the_source(tmp_path: Path) -> None:
    found = faults(written(tmp_path / "set", "CC-BY-4.0", "informed consent", inputs=[SOURCE]))
    assert found == {f"licence 'CC-BY-4.0' is laxer than that of market-like, '{NC}'"}


def test_a_basis_that_is_firmer_than_the_source(tmp_path: Path) -> None:
    found = faults(written(tmp_path / "set", NC, NOBODY, inputs=[SOURCE]))
    assert found == {f"consent_basis '{NOBODY}' is firmer than that of market-like, 'informed consent'"}


def test_the_target_and_the_models_count_too(tmp_path: Path) -> None:
    target = {"role": "target", "id": "ours", "licence": "withdrawn", "consent": None}
    learned = {"source": {"licences": ["ODbL-1.0"], "consent_bases": [NOBODY]}}
    teacher = {"role": "teacher", "name": "t", "sha256": sha("teacher"), "licence": "withdrawn", "trained_on": None}
    models = [{**GENERATOR, "licence": "ODbL-1.0", "trained_on": learned}, teacher]
    found = faults(written(tmp_path / "set", NC, NOBODY, inputs=[target], checkpoints=models))
    assert found == {
        f"licence '{NC}' is laxer than that of target ours, 'withdrawn'",
        f"consent_basis '{NOBODY}' is firmer than that of target ours, 'unstated'",
        f"licence '{NC}' is laxer than that of generator g, 'ODbL-1.0'",
    }  # and not the teacher: it labelled none of these rows


def test_images_of_other_data_sets_do_not_count(tmp_path: Path) -> None:
    other = {**SOURCE, "id": "elsewhere", "licence": "withdrawn"}
    assert faults(written(tmp_path / "set", NC, "opt-in", inputs=[SOURCE, other])) == set()


def test_a_data_set_under_several_licences(tmp_path: Path) -> None:
    """Which of them an image is under, the record does not say."""
    several = [SOURCE, {**SOURCE, "licence": "CC-BY-4.0"}]
    assert faults(written(tmp_path / "fair", "CC-BY-4.0", "opt-in", inputs=several)) == set()
    assert len(faults(written(tmp_path / "lax", "MIT", "opt-in", inputs=several))) == 1


@pytest.mark.parametrize(("licence", "basis"), [(None, None), (NC, None), ("", "opt-in")])
def test_terms_that_are_not_stated(licence: str | None, basis: str | None, tmp_path: Path) -> None:
    (message,) = faults(written(tmp_path / "set", licence, basis))
    assert message.endswith("not stated, not even as 'unstated'")
    assert ("licence" in message, "consent_basis" in message) == (not licence, not basis)


def test_rows_of_a_run_of_before_there_were_terms_have_none(tmp_path: Path) -> None:
    old, new = (written(tmp_path / name, None, None) for name in ("old", "new"))
    rewrite_record(old, lambda state: state.update(schema_version="1.2"))
    assert faults(old) == set()
    other = DatasetRun.start(str(tmp_path / "other"), "synthetic", sha("other"), {0: 2}, footer=FOOTER)
    other.sink.commit(0, synthetic_rows(1, 2, sha("other")))
    other.close()
    assert faults(merge([old, other.uri], str(tmp_path / "union")).uri) == set()
    assert faults(merge([new, other.uri], str(tmp_path / "bad")).uri) != set()
