"""The chain behind one synthetic row: the images that went in, the models that made it, settings, seed and label.

The row says it by digests; names for them come from its run's record and, where they can be opened, from the source
manifest and the annotations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.format.schema import NEEDS_TEACHER, Kind
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.rows import fetch_rows, find_rows
from manifests.reading.runs import Checkpoint, Run, runs
from manifests.showing.chain import (
    Annotation,
    Chain,
    Label,
    ListedClass,
    RanOn,
    Row,
    RowModel,
    RowRun,
    RowSource,
    Source,
    SourceImage,
)

_ROLES: dict[str, Kind] = {"source": "source", "annotations": "annotation"}

_Found = TypeVar("_Found", SourceImage, Annotation)


def trace(dataset: Dataset, name: str, sources: Sequence[str] = (), annotations: Sequence[str] = ()) -> Chain:
    """Everything known of the row that ``name`` (its id, or a beginning that no other has) names.

    ``sources`` and ``annotations`` say where these data sets lie; by default where the run had them, and what cannot
    be opened there is left out.

    Raises:
        UserError: no such row or several, rows of another kind, a data set that was named and cannot be opened.

    Example:
        >>> from manifests import open_dataset, trace
        >>> synthetic = open_dataset("runs/synthetic")
        >>> chain = trace(synthetic, synthetic.read(["sample_id"])["sample_id"][0].as_py())
        >>> chain.row.recipe, [source.image.identity for source in chain.sources]
        ('ptgan', ['0002'])
    """
    if dataset.kind != "synthetic":
        raise UserError(f"{dataset.uri} holds {dataset.kind} rows: only synthetic ones come from others")
    places = find_rows(dataset, [name])
    columns = [field.name for field in fields(Row)]
    (values,) = fetch_rows(dataset, places, [*columns, "soft_label"]).to_pylist()
    label = _label(values.pop("soft_label"), values, dataset.classes)
    row = _row(values)
    run = next((run for run in runs(dataset) if run.plan_id == row.plan_id), None)
    digests = {source.sha256 for source in row.sources}
    images = _known(SourceImage, _opened("source", sources, run), digests)
    annotated = _known(Annotation, _opened("annotations", annotations, run), digests)
    return Chain(
        uri=dataset.uri,
        file=dataset.snapshot.files[places["file"][0].as_py()].path,
        row_in_file=places["row"][0].as_py(),
        row=row,
        label=label,
        sources=tuple(
            Source(one.sha256, one.role, one.dataset_id, images.get(one.sha256), annotated.get(one.sha256))
            for one in row.sources
        ),
        models=tuple(_row_models(row, run)),
        run=_row_run(row, run) if run else None,
    )


def _row(values: Mapping[str, Any]) -> Row:
    lists = {name: tuple(values[name]) for name in ("subject_keys", "checkpoint_sha256s")}
    return Row(**{**values, **lists, "sources": tuple(RowSource(**source) for source in values["sources"])})


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


def _known(of: type[_Found], datasets: Iterable[Dataset], digests: Collection[str]) -> dict[str, _Found]:
    """What each image of ``digests`` is known as; the first data set that has it says, there its last row."""
    known: dict[str, _Found] = {}
    if not digests:
        return known
    columns: list[str] = [field.name for field in fields(of) if field.name != "uri"]
    wanted = pc.field("image_sha256").isin(sorted(digests))
    for dataset in datasets:
        rows = dataset.read(["image_sha256", *columns], wanted).to_pylist()
        known = {row.pop("image_sha256"): of(uri=dataset.uri, **row) for row in rows} | known
    return known


def _label(entries: Iterable[Mapping[str, Any]], row: Mapping[str, Any], classes: ClassMap | None) -> Label:
    """The listed probabilities, largest first, by identity where the data set names its classes."""
    listed = (
        ListedClass(
            number=entry["idx"],
            identity=classes.identities[entry["idx"]] if classes and 0 <= entry["idx"] < len(classes) else None,
            probability=entry["val"],
        )
        for entry in sorted(entries, key=lambda entry: -entry["val"])
    )
    return Label(row["label_rule"], row["label_epsilon"], row["num_classes"], tuple(listed), row["soft_label_rest"])


def _row_models(row: Row, run: Run | None) -> Iterator[RowModel]:
    """The generators by the row's own digests; then those whom the run let label and judge such rows."""
    known = {one.sha256: one for one in run.checkpoints} if run else {}
    for sha256 in row.checkpoint_sha256s:
        yield _row_model("generator", known[sha256]) if sha256 in known else RowModel(sha256, "generator")
    pose_error = (row.quality or {}).get("pose_error")
    took_part = {"teacher": row.label_rule in NEEDS_TEACHER, "pose": pose_error is not None}
    for one in known.values():
        if took_part.get(one.role, False):
            yield _row_model(one.role, one)


def _row_model(role: str, known: Checkpoint) -> RowModel:
    return RowModel(known.sha256, role, known.name, known.recipe, known.licence, known.trained_on, known.uri)


def _row_run(row: Row, run: Run) -> RowRun:
    ran_on = run.environment
    return RowRun(
        job=run.job,
        plan_id=run.plan_id,
        started=run.started,
        closed=run.closed,
        settings=run.settings if run.settings_sha256 == row.settings_sha256 else None,
        environment=RanOn(ran_on.fingerprint, ran_on.git_commit, ran_on.git_dirty, ran_on.device),
    )
