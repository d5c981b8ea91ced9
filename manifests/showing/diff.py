"""Two data sets of one kind, row by row: which ids one has alone, and what differs where both have an id.

Rows are held against one another by a hash for each aspect of them, made file by file, so that only ids and hashes
are in memory; pictures are compared by the digests that the rows carry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl
import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.format.schema import ROW_ID, ROW_KEY, SCHEMAS, Kind
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.runs import Run, runs
from manifests.showing.difference import (
    Alone,
    ChangedRow,
    ChangedRows,
    ClassesDiffer,
    Difference,
    Named,
    RowsAlone,
    Values,
)

EXAMPLES = 3
"""Ids of each difference that are given with it."""
OTHER = "other columns"
_LABELS = ("soft_label", "soft_label_rest", "label_rule", "label_epsilon", "hard_label", "num_classes")
_PROVENANCE = ("sources", "subject_keys", "recipe", "recipe_version", "settings_sha256", "seed", "draw", "target")
_TERMS = ("licence", "consent_basis")
ASPECTS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "source": {"bytes": ("image_sha256",), "terms": _TERMS},
    "annotation": {"mask": ("mask", "mask_quality"), "pose": ("keypoints",)},
    "synthetic": {
        "pixels": ("pixel_sha256",),
        "bytes": ("image_sha256",),
        "labels": _LABELS,
        "quality": ("quality",),
        "provenance": (*_PROVENANCE, "checkpoint_sha256s"),
        "terms": _TERMS,
    },
}
"""Columns that are compared together; all others but `_NOT_COMPARED` are `OTHER`."""
_NOT_COMPARED = ("image", "plan_id")
"""A picture's digest stands for it; a plan's id follows from which other rows were planned."""


def diff(first: Dataset, second: Dataset) -> Difference:
    """What differs between two data sets of one kind: rows, settings, models, inputs, classes, what was rejected.

    Raises:
        UserError: the data sets are of two kinds.

    Example:
        >>> from manifests import diff, open_dataset
        >>> found = diff(open_dataset("runs/synthetic"), open_dataset("runs/more"))
        >>> found.same, found.both, found.only_first.rows
        (False, 0, 6)
    """
    if first.kind != second.kind:
        kinds = f"{first.uri} holds {first.kind} rows, {second.uri} {second.kind} rows"
        raise UserError(f"{kinds}: only data sets of one kind can be compared")
    aspects = _aspects(first.kind)
    before, after = (_hashes(dataset, aspects) for dataset in (first, second))
    both = before.join(after, on="key")
    runs_before, runs_after = runs(first), runs(second)
    reasons = first.snapshot.reasons, second.snapshot.reasons
    return Difference(
        kind=first.kind,
        uris=(first.uri, second.uri),
        rows=(first.snapshot.rows, second.snapshot.rows),
        both=both.height,
        only_first=_rows_alone(before, after),
        only_second=_rows_alone(after, before),
        changed=dict(_changed(first, second, both, aspects)),
        settings=_compare_settings(runs_before, runs_after),
        models=_alone(_models(runs_before), _models(runs_after)),
        inputs=_alone(_inputs(runs_before), _inputs(runs_after)),
        classes=_compare_classes(first.classes, second.classes),
        rejected=reasons if reasons[0] != reasons[1] else None,
        environments=(_fingerprints(runs_before), _fingerprints(runs_after)),
        libraries=_compare_libraries(runs_before, runs_after),
    )


def _rows_alone(hashes: pl.DataFrame, other: pl.DataFrame) -> RowsAlone:
    alone = hashes.join(other, on="key", how="anti").get_column("key")
    return RowsAlone(len(alone), tuple(alone.head(EXAMPLES)))


def _changed(
    first: Dataset, second: Dataset, both: pl.DataFrame, aspects: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, ChangedRows]]:
    """The aspects in which rows of ``both`` differ, with these rows; its hashes of ``second`` end on ``_right``."""
    for aspect, columns in aspects.items():
        keys = both.filter(pl.col(aspect) != pl.col(f"{aspect}_right")).get_column("key")
        if len(keys):
            examples = _changed_values(first, second, keys.head(EXAMPLES).to_list(), columns)
            yield aspect, ChangedRows(len(keys), tuple(examples))


def _aspects(kind: Kind) -> dict[str, tuple[str, ...]]:
    named = ASPECTS[kind]
    taken = {*ROW_KEY[kind], *_NOT_COMPARED, *(column for columns in named.values() for column in columns)}
    return {**named, OTHER: tuple(name for name in SCHEMAS[kind].names if name not in taken)}


def _hashes(dataset: Dataset, aspects: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The key of every row and a hash for each aspect; one file at a time, and no picture."""
    keys = ROW_KEY[dataset.kind]
    key = pl.concat_str(keys, separator=" ", ignore_nulls=True).alias("key")
    hashed = [pl.struct(columns).hash().alias(name) for name, columns in aspects.items()]
    wanted = [*keys, *(column for columns in aspects.values() for column in columns)]
    empty = pl.DataFrame(schema={"key": pl.String, **dict.fromkeys(aspects, pl.UInt64)})
    return pl.concat([empty, *(frame_of(table).select(key, *hashed) for table in dataset.shards(wanted))])


def _changed_values(
    first: Dataset, second: Dataset, keys: Sequence[str], columns: Sequence[str]
) -> Iterator[ChangedRow]:
    """For each key the values of the columns that differ."""
    before, after = (_rows_by_key(dataset, keys, columns) for dataset in (first, second))
    for key in keys:
        pairs = {name: (before[key][name], after[key][name]) for name in columns}
        yield ChangedRow(key, {name: pair for name, pair in pairs.items() if pair[0] != pair[1]})


def _rows_by_key(dataset: Dataset, keys: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, object]]:
    """``columns`` of the rows of ``keys``; bytes by their digest, which JSON can hold."""
    parts = ROW_KEY[dataset.kind]
    wanted = pc.field(ROW_ID[dataset.kind]).isin([key.partition(" ")[0] for key in keys])
    found = {}
    for row in dataset.read([*parts, *columns], wanted).to_pylist():
        key = " ".join(row[name] for name in parts if row[name] is not None)
        found[key] = {
            name: hashlib.sha256(row[name]).hexdigest() if isinstance(row[name], bytes) else row[name]
            for name in columns
        }
    return found


def _compare_settings(first: Sequence[Run], second: Sequence[Run]) -> dict[str, Values]:
    before, after = _settings(first), _settings(second)
    pairs = {key: (before.get(key), after.get(key)) for key in sorted({*before, *after})}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _settings(found: Sequence[Run]) -> dict[str, object]:
    """The value of each setting; all of its values where the runs differ."""
    values: dict[str, list[object]] = {}
    for run in found:
        for key, value in run.settings.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    return {key: some[0] if len(some) == 1 else some for key, some in values.items()}


def _models(found: Sequence[Run]) -> set[Named]:
    return {Named(one.role, one.name, one.sha256) for run in found for one in run.checkpoints}


def _inputs(found: Sequence[Run]) -> set[Named]:
    """By digest, and not by the place where they lay."""
    return {Named(one.role, one.name, one.digest or "unknown") for run in found for one in run.inputs}


def _alone(first: set[Named], second: set[Named]) -> Alone:
    return Alone(tuple(sorted(first - second)), tuple(sorted(second - first)))


def _compare_classes(first: ClassMap | None, second: ClassMap | None) -> ClassesDiffer | None:
    """None where all are the same; an erasure takes a name and no number."""
    if first == second:
        return None
    agree = first is not None and second is not None and (first.agrees_with(second) or second.agrees_with(first))
    before, after = (None if one is None else len(one.named) for one in (first, second))
    return ClassesDiffer((before, after), not agree)


def _compare_libraries(before: Sequence[Run], after: Sequence[Run]) -> dict[str, Values]:
    """Of libraries that runs of both name."""
    found = _libraries(before), _libraries(after)
    both = sorted(found[0].keys() & found[1].keys())
    return {name: (found[0][name], found[1][name]) for name in both if found[0][name] != found[1][name]}


def _libraries(found: Sequence[Run]) -> dict[str, str]:
    """Versions by library; all of them where runs of one data set had several."""
    versions: dict[str, set[str]] = {}
    for run in found:
        for name, version in run.environment.libraries.items():
            versions.setdefault(name, set()).add(str(version))
    return {name: ", ".join(sorted(some)) for name, some in versions.items()}


def _fingerprints(found: Sequence[Run]) -> tuple[str, ...]:
    return tuple(sorted({run.environment.fingerprint for run in found if run.environment.fingerprint}))
