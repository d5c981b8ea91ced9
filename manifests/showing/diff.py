"""Two data sets of one kind, row by row: which ids one has alone, and what differs where both have an id.

Rows are held against one another by a hash for each aspect of them, made file by file, so that only ids and hashes
are in memory; pictures are compared by the digests that the rows carry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.format.schema import ROW_ID, SCHEMAS, Kind
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from manifests.reading.runs import Run, runs

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
_KEYS: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id",),
    "annotation": ("image_id", "segmenter_sha256", "pose_sha256"),
    "synthetic": ("sample_id",),
}

Difference = dict[str, Any]
Named = tuple[str, str, str]
"""Role, name and digest of a model or an input."""


def diff(first: Dataset, second: Dataset) -> Difference:
    """What differs between two data sets, JSON-ready; ``same`` where nothing does.

    ``rows`` are those of each, ``both`` the ids in both, ``changed`` rows of these by aspect; ``examples`` gives some
    ids and, of changed rows, the values that differ. ``settings``, ``models`` and ``inputs`` are the runs', ``classes``
    (how many have a name, and whether their numbers changed) and ``rejected`` the data sets'; empty where they are
    equal. Environments are told, and decide nothing.

    Raises:
        UserError: the data sets are of two kinds.
    """
    if first.kind != second.kind:
        kinds = f"{first.uri} holds {first.kind} rows, {second.uri} {second.kind} rows"
        raise UserError(f"{kinds}: only data sets of one kind can be compared")
    counts, changed, examples = _compare_rows(first, second)
    both = counts.pop("both")
    found = {
        **counts,
        "changed": changed,
        **_compare_runs(runs(first), runs(second)),
        "classes": _compare_classes(first.classes, second.classes),
        "rejected": _two(first.snapshot.reasons, second.snapshot.reasons),
    }
    return {
        "kind": first.kind,
        "uris": [first.uri, second.uri],
        "same": not any(found.values()),
        "rows": [first.snapshot.rows, second.snapshot.rows],
        "both": both,
        **found,
        "examples": examples,
        "environments": [_fingerprints(first), _fingerprints(second)],
    }


def _compare_rows(first: Dataset, second: Dataset) -> tuple[dict[str, int], dict[str, int], Difference]:
    """How many ids are in both or in one alone, how many rows changed by aspect, and examples."""
    aspects = _aspects(first.kind)
    before, after = (_hashes(dataset, aspects) for dataset in (first, second))
    alone = {
        "only_first": before.join(after, on="key", how="anti"),
        "only_second": after.join(before, on="key", how="anti"),
    }
    both = before.join(after, on="key")
    changed = {name: both.filter(pl.col(name) != pl.col(f"{name}_right")) for name in aspects}
    changed = {name: rows for name, rows in changed.items() if rows.height}
    examples: Difference = {name: rows["key"].head(EXAMPLES).to_list() for name, rows in alone.items()}
    for name, rows in changed.items():
        examples[name] = _values(first, second, rows["key"].head(EXAMPLES).to_list(), aspects[name])
    counts = {name: rows.height for name, rows in alone.items()} | {"both": both.height}
    return counts, {name: rows.height for name, rows in changed.items()}, examples


def _aspects(kind: Kind) -> dict[str, tuple[str, ...]]:
    named = ASPECTS[kind]
    taken = {*_KEYS[kind], *_NOT_COMPARED, *(column for columns in named.values() for column in columns)}
    return {**named, OTHER: tuple(name for name in SCHEMAS[kind].names if name not in taken)}


def _hashes(dataset: Dataset, aspects: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The key of every row and a hash for each aspect; one file at a time, and no picture."""
    keys = _KEYS[dataset.kind]
    key = pl.concat_str(keys, separator=" ", ignore_nulls=True).alias("key")
    hashed = [pl.struct(columns).hash().alias(name) for name, columns in aspects.items()]
    wanted = [*keys, *(column for columns in aspects.values() for column in columns)]
    empty = pl.DataFrame(schema={"key": pl.String, **dict.fromkeys(aspects, pl.UInt64)})
    return pl.concat([empty, *(_frame(table).select(key, *hashed) for table in dataset.shards(wanted))])


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _values(first: Dataset, second: Dataset, keys: Sequence[str], columns: Sequence[str]) -> list[Difference]:
    """For each key the values of the columns that differ, first and second."""
    before, after = (_rows(dataset, keys, columns) for dataset in (first, second))
    pairs = {key: {name: [before[key][name], after[key][name]] for name in columns} for key in keys}
    return [
        {"key": key, "values": {name: pair for name, pair in values.items() if pair[0] != pair[1]}}
        for key, values in pairs.items()
    ]


def _rows(dataset: Dataset, keys: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``columns`` of the rows of ``keys``; bytes by their digest, which JSON can hold."""
    parts = _KEYS[dataset.kind]
    wanted = pc.field(ROW_ID[dataset.kind]).isin([key.partition(" ")[0] for key in keys])
    found = {}
    for row in dataset.read([*parts, *columns], wanted).to_pylist():
        key = " ".join(row[name] for name in parts if row[name] is not None)
        found[key] = {
            name: hashlib.sha256(row[name]).hexdigest() if isinstance(row[name], bytes) else row[name]
            for name in columns
        }
    return found


def _compare_runs(first: Sequence[Run], second: Sequence[Run]) -> Difference:
    """Settings key by key; models and inputs by digest and not by place."""
    before, after = _settings(first), _settings(second)
    settings = {key: _two(before.get(key), after.get(key)) for key in sorted({*before, *after})}
    return {
        "settings": {key: values for key, values in settings.items() if values},
        "models": _alone(_models(first), _models(second)),
        "inputs": _alone(_inputs(first), _inputs(second)),
    }


def _settings(found: Sequence[Run]) -> dict[str, Any]:
    """The value of each setting; all of its values where the runs differ."""
    values: dict[str, list[Any]] = {}
    for run in found:
        for key, value in run.settings.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    return {key: some[0] if len(some) == 1 else some for key, some in values.items()}


def _models(found: Sequence[Run]) -> set[Named]:
    return {(one.role, one.name, one.sha256) for run in found for one in run.checkpoints}


def _inputs(found: Sequence[Run]) -> set[Named]:
    return {(one.role, one.name, one.digest or "unknown") for run in found for one in run.inputs}


def _alone(first: set[Named], second: set[Named]) -> Difference:
    """What only one of two sets has; empty where they are equal."""
    parts = {"only_first": first - second, "only_second": second - first}
    return {name: [list(one) for one in sorted(part)] for name, part in parts.items() if part}


def _two(first: Any, second: Any) -> list[Any]:
    """Both values where they differ, nothing where they do not."""
    return [] if first == second else [first, second]


def _compare_classes(first: ClassMap | None, second: ClassMap | None) -> dict[str, Any]:
    """Classes with a name in each, and whether one class has two numbers; an erasure takes a name and no number."""
    if first == second:
        return {}
    agree = first is not None and second is not None and (first.agrees_with(second) or second.agrees_with(first))
    return {"named": [None if one is None else len(one.named) for one in (first, second)], "renumbered": not agree}


def _fingerprints(dataset: Dataset) -> list[str]:
    found = (run.environment.fingerprint for run in runs(dataset))
    return sorted({one for one in found if one})
