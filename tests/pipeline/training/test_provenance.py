"""What a card says of a training set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from manifests.format.terms import UNSTATED
from pipeline.common.digests import content_id, subject_key
from pipeline.training.provenance import provenance_of, subjects_of

ANN, BEN = subject_key("market", "1"), subject_key("market", "2")


def stated(**values: Any) -> dict[str, Any]:
    return {"licence": "MIT", "consent_basis": "agreed", **values}


REAL = [
    stated(dataset_id="market", identity="2"),
    stated(dataset_id="market", identity="1", licence=None),
    stated(dataset_id="market", identity="2", consent_basis=None),
    stated(dataset_id="market", identity=None),
]
GENERATED = [stated(subject_keys=[BEN, ANN], licence=None), stated(subject_keys=[BEN], consent_basis=None)]


@pytest.mark.parametrize(("kind", "rows"), [("source", REAL), ("synthetic", GENERATED)])
def test_terms_and_people_of_the_rows(kind: str, rows: list[dict[str, Any]]) -> None:
    dataset: Any = SimpleNamespace(kind=kind, digest=lambda: "of the manifest")
    subjects = sorted([ANN, BEN])
    assert provenance_of(dataset, rows) == {
        "images": len(rows),
        "manifest_sha256": "of the manifest",
        "licences": sorted(["MIT", UNSTATED]),
        "consent_bases": sorted(["agreed", UNSTATED]),
        "subjects": subjects,
        "subjects_digest": content_id(*subjects),
    }


def test_the_same_people_have_one_digest_in_any_order() -> None:
    assert subjects_of([ANN, BEN, ANN]) == subjects_of([BEN, ANN])
    assert subjects_of([ANN])["subjects_digest"] != subjects_of([BEN])["subjects_digest"]
