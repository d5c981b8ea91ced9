"""What a training set is made of, as the card of what was trained on it tells: its data set, terms and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from manifests.format.terms import UNSTATED
from manifests.reading.dataset import Dataset
from pipeline.common.digests import content_id, subject_key

TERMS = ("licence", "consent_basis")
SUBJECTS: Mapping[str, tuple[str, ...]] = {"source": ("dataset_id", "identity"), "synthetic": ("subject_keys",)}
"""By kind of data set, the columns that tell who is shown."""


def provenance_of(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the ``rows`` of a source or synthetic data set brought in: digests, terms, and each person by pseudonymous
    key. Of each row its `TERMS` and, by the kind of ``dataset``, its `SUBJECTS` are read."""
    return {
        "images": len(rows),
        "manifest_sha256": dataset.digest(),
        "licences": sorted({row["licence"] or UNSTATED for row in rows}),
        "consent_bases": sorted({row["consent_basis"] or UNSTATED for row in rows}),
        **subjects_of(_keys(dataset.kind, rows)),
    }


def subjects_of(keys: Iterable[str]) -> dict[str, Any]:
    """The people of a training set by pseudonymous key, and the digest that names them together."""
    subjects = sorted(set(keys))
    return {"subjects": subjects, "subjects_digest": content_id(*subjects)}


def _keys(kind: str, rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if kind == "synthetic":
        return (key for row in rows for key in row["subject_keys"] or ())
    people = {(row["dataset_id"], row["identity"]) for row in rows if row["identity"] is not None}
    return (subject_key(*person) for person in people)
