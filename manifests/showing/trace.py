"""The chain behind one synthetic row: the images that went in, the models that made it, settings, seed and label.

The row says it by digests; names for them come from its run's record and, where they can be opened, from the source
manifest and the annotations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.format.schema import SYNTHETIC_SCHEMA, Kind
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.rows import fetch_rows, find_rows
from manifests.reading.runs import Checkpoint, Run, runs

_KEPT = tuple(name for name in SYNTHETIC_SCHEMA.names if name not in ("image", "mask", "keypoints", "soft_label"))
_IMAGE = ("image_id", "relative_path", "identity", "camera", "split", "licence", "consent_basis")
_ANNOTATION = ("mask_quality", "segmenter", "segmenter_sha256", "pose_model", "pose_sha256")
_ROLES: dict[str, Kind] = {"source": "source", "annotations": "annotation"}

Chain = dict[str, Any]


def trace(dataset: Dataset, name: str, sources: Sequence[str] = (), annotations: Sequence[str] = ()) -> Chain:
    """Everything known of the row that ``name`` (its id, or a beginning that no other has) names, JSON-ready.

    ``sources`` and ``annotations`` say where these data sets lie; by default where the run had them, and what cannot
    be opened there is left out.

    ``row`` holds the row's own columns but pictures, ``label`` its probabilities by identity, ``sources`` each image
    that went in with ``image`` and ``annotation`` (None where not found), ``models`` who made, labelled or judged it,
    ``run`` the job with its settings (None where no record is of this row's plan).

    Raises:
        UserError: no such row or several, rows of another kind, a data set that was named and cannot be opened.
    """
    if dataset.kind != "synthetic":
        raise UserError(f"{dataset.uri} holds {dataset.kind} rows: only synthetic ones come from others")
    places = find_rows(dataset, [name])
    row = fetch_rows(dataset, places, [*_KEPT, "soft_label"]).to_pylist()[0]
    run = next((run for run in runs(dataset) if run.plan_id == row["plan_id"]), None)
    digests = {source["sha256"] for source in row["sources"]}
    images = _known("source", _opened("source", sources, run), digests, _IMAGE)
    annotated = _known("annotations", _opened("annotations", annotations, run), digests, _ANNOTATION)
    return {
        "uri": dataset.uri,
        "file": dataset.snapshot.files[places["file"][0].as_py()].path,
        "row_in_file": places["row"][0].as_py(),
        "row": {column: row[column] for column in _KEPT},
        "label": _label(row, dataset.classes),
        "sources": [
            {**source, "image": images.get(source["sha256"]), "annotation": annotated.get(source["sha256"])}
            for source in row["sources"]
        ],
        "models": list(_models(row, run)),
        "run": _run(row, run),
    }


def _opened(role: str, named: Sequence[str], run: Run | None) -> Iterator[Dataset]:
    """The data sets of that role: those ``named``, or those of the run's record that can be opened."""
    recorded = [one.uri for one in run.inputs if one.role == role and one.uri] if run else []
    for uri in named or dict.fromkeys(recorded):
        try:
            found = open_dataset(uri)
        except UserError:
            if named:
                raise
            continue
        if found.kind == _ROLES[role]:
            yield found
        elif named:
            raise UserError(f"{uri} holds {found.kind} rows, {_ROLES[role]} rows are needed: see --{role}")


def _known(role: str, datasets: Iterable[Dataset], digests: Collection[str], columns: Sequence[str]) -> dict[str, Any]:
    """``columns`` and ``uri`` of each image of ``digests``; the first data set that has it says, there its last row."""
    known: dict[str, Any] = {}
    if not digests:
        return known
    wanted = pc.field("image_sha256").isin(sorted(digests))
    for dataset in datasets:
        rows = dataset.read(["image_sha256", *columns], wanted).to_pylist()
        known = {row.pop("image_sha256"): {"uri": dataset.uri, **row} for row in rows} | known
    return known


def _label(row: Mapping[str, Any], classes: ClassMap | None) -> dict[str, Any]:
    """The listed probabilities, largest first, by identity where the data set names its classes."""
    entries = sorted(row["soft_label"], key=lambda entry: -entry["val"])
    return {
        "rule": row["label_rule"],
        "epsilon": row["label_epsilon"],
        "classes": row["num_classes"],
        "listed": [
            {
                "class": entry["idx"],
                "identity": classes.identities[entry["idx"]] if classes and 0 <= entry["idx"] < len(classes) else None,
                "probability": entry["val"],
            }
            for entry in entries
        ],
        "each_other": row["soft_label_rest"],
    }


def _models(row: Mapping[str, Any], run: Run | None) -> Iterator[dict[str, Any]]:
    """The generators by the row's own digests; then those whom the run let label and judge such rows."""
    known = {one.sha256: one for one in run.checkpoints} if run else {}
    for sha256 in row["checkpoint_sha256s"]:
        yield _model(sha256, "generator", known.get(sha256))
    pose_error = (row["quality"] or {}).get("pose_error")
    took_part = {"teacher": row["label_rule"] in ("teacher", "mprl"), "pose": pose_error is not None}
    for one in known.values():
        if took_part.get(one.role, False):
            yield _model(one.sha256, one.role, one)


def _model(sha256: str, role: str, known: Checkpoint | None) -> dict[str, Any]:
    said = ("name", "recipe", "licence", "trained_on", "uri")
    return {"sha256": sha256, "role": role, **{key: getattr(known, key) if known else None for key in said}}


def _run(row: Mapping[str, Any], run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    recorded = run.settings_sha256 == row["settings_sha256"]
    return {
        "job": run.job,
        "plan_id": run.plan_id,
        "started": run.started,
        "closed": run.closed,
        "settings": dict(run.settings) if recorded else None,
        "environment": {key: run.environment.get(key) for key in ("fingerprint", "git_commit", "git_dirty", "device")},
    }
