"""Which models are named as having learned from an erased person."""

from __future__ import annotations

import json
from pathlib import Path

from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.format.names import subject_key
from tests.manifests.erasing.family import CLASSES, GONE, PEOPLE
from tests.manifests.manifest_rows import sha
from tests.manifests.people_rows import people_source, people_synthetic, write


def test_models_that_learned_from_the_person_are_named(tmp_path: Path) -> None:
    generator = tmp_path / "generator"
    generator.mkdir()
    keys = [subject_key("market", one) for one in PEOPLE]
    (generator / "generator.json").write_text(
        json.dumps({"sha256": {"generator": sha("generator")}, "data": {"source": {"subjects": keys}}})
    )
    source = people_source("market", PEOPLE, 1)
    models = [
        {"sha256": sha("generator"), "uri": str(generator), "recipe": "ptgan", "name": "mine"},
        {"sha256": sha("other"), "uri": "gone", "recipe": "reid", "trained_on": {"train": {"dataset_ids": ["market"]}}},
        {"sha256": sha("foreign"), "uri": "gone", "recipe": "reid", "trained_on": {"train": {"dataset_ids": ["duke"]}}},
        {"sha256": sha("named"), "uri": "sam_tiny", "recipe": "", "trained_on": "drawn people"},
    ]
    rows = people_synthetic(source, CLASSES)
    made = write(str(tmp_path / "made"), "synthetic", rows, classes=CLASSES, run={"checkpoints": models})
    told = {model.sha256: model for model in erase([made.uri], Request(frozenset({GONE})), dry_run=True).models}
    verdicts = {digest: model.learned for digest, model in told.items()}
    assert verdicts == {sha("generator"): "yes", sha("other"): "perhaps", sha("foreign"): "no", sha("named"): "unknown"}
    assert told[sha("generator")].rows == 4
    assert "trained on market" in told[sha("other")].because
    (generator / "generator.json").write_text(
        json.dumps({"sha256": {"generator": sha("generator")}, "data": {"source": {"subjects": keys[2:]}}})
    )
    report = erase([made.uri], Request(frozenset({GONE})))
    assert {model.sha256: model.learned for model in report.models}[sha("generator")] == "no"
