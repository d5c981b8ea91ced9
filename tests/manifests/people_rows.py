"""Data sets that belong together: source rows of some people, annotations of them, and images made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.format import soft_labels
from manifests.format.names import subject_key
from manifests.format.schema import ANNOTATION_SCHEMA, REJECT_SCHEMA, SOURCE_SCHEMA, SYNTHETIC_SCHEMA, Kind
from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms, combined
from manifests.reading.dataset import Dataset, open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import mask, name, picture, sha


def people_source(dataset_id: str, identities: Sequence[str], images: int) -> pa.Table:
    """``images`` rows of each of ``identities``, in their order."""
    rows = [_source_row(dataset_id, identity, number) for identity in identities for number in range(images)]
    return pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA)


def _source_row(dataset_id: str, identity: str, number: int) -> dict[str, Any]:
    data, _ = picture(int(name(f"{dataset_id} {identity} {number}")[:8], 16))
    return {
        "image_id": name(f"image {dataset_id} {identity} {number}"),
        "image": {"bytes": data, "path": f"{identity}_{number}.png"},
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "width": 8,
        "height": 16,
        "identity": identity,
        "camera": number % 3 + 1,
        "domain": dataset_id,
        "split": "train",
        "role": "person",
        "relative_path": f"train/{identity}_{number}.png",
        "dataset_id": dataset_id,
    }


def people_annotations(source: pa.Table) -> pa.Table:
    """A mask for each source row, of another size on each so that no two are alike."""
    rows = [
        {
            **{column: row[column] for column in ("image_id", "image_sha256", "width", "height")},
            "mask": mask(),
            "segmenter": "sam_tiny",
            "segmenter_sha256": sha("sam_tiny"),
        }
        for row in source.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA)


def people_synthetic(
    source: pa.Table, classes: ClassMap, rule: str = "lsr", plan: str = "plan", poses: pa.Table | None = None
) -> pa.Table:
    """A row for each source row, labelled by ``rule``; with ``poses``, in the pose of the image in the same place."""
    donors = poses.to_pylist() if poses is not None else [None] * source.num_rows
    rows = [_synthetic_row(one, donor, rule, plan) for one, donor in zip(source.to_pylist(), donors, strict=True)]
    rows.sort(key=lambda row: (row["identity"] or "", row["sample_id"]))
    labels = label(rule, [classes.number(row["identity"]) for row in rows], len(classes))
    bare = pa.schema([field for field in SYNTHETIC_SCHEMA if field.name not in labels])
    table = pa.Table.from_pylist(rows, schema=bare)
    return pa.table({**labels, **{column: table.column(column) for column in table.column_names}})


def label(rule: str, hard: Sequence[int], classes: int) -> soft_labels.LabelColumns:
    """Label columns by any rule; a teacher's probabilities are drawn."""
    drawn = np.random.Generator(np.random.Philox(len(hard))).dirichlet(np.full(classes, 0.3), len(hard))
    if rule in ("one_hot", "lsr"):
        return getattr(soft_labels, rule)(hard, classes)
    if rule == "lsro":
        return soft_labels.lsro(len(hard), classes, hard)
    return soft_labels.teacher(drawn, 3, hard) if rule == "teacher" else soft_labels.mprl(drawn, None, hard)


def _synthetic_row(source: dict[str, Any], donor: dict[str, Any] | None, rule: str, plan: str) -> dict[str, Any]:
    sample_id = name(f"{plan} {rule} {source['image_id']} {donor and donor['image_id']}")
    data, pixels = picture(int(sample_id[:8], 16))
    size = np.array(pixels.shape[:2], "<i8").tobytes()
    shown = [(source, "content"), *([(donor, "pose")] if donor else [])]
    return {
        "sample_id": sample_id,
        "image": {"bytes": data, "path": f"{sample_id}.png"},
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "pixel_sha256": hashlib.sha256(size + pixels.tobytes()).hexdigest(),
        "width": 8,
        "height": 16,
        "identity": source["identity"],
        "camera": 1,
        "domain": "elsewhere",
        "split": "train",
        "subject_keys": list(dict.fromkeys(subject_key(one["dataset_id"], one["identity"]) for one, _ in shown)),
        "sources": [
            {"sha256": one["image_sha256"], "role": role, "dataset_id": one["dataset_id"]} for one, role in shown
        ],
        "recipe": "pngan" if donor else "ptgan",
        "recipe_version": "1",
        "settings_sha256": sha("settings"),
        "seed": 7,
        "draw": 0,
        "plan_id": name(plan),
        "checkpoint_sha256s": [sha("generator")],
        "target": {"camera": 1, "domain": "elsewhere"},
        "digital_source_type": "trainedAlgorithmicMedia",
        **combined(Terms.of(one["licence"], one["consent_basis"]) for one, _ in shown)._asdict(),
    }


def noise_rows(count: int, classes: ClassMap, plan: str = "plan") -> pa.Table:
    """Rows of nobody, by the rule of LSRO."""
    nobody: dict[str, Any] = {"identity": None, "subject_keys": [], "sources": [], "recipe": "gan_lsro"}
    rows = people_synthetic(people_source("noise", [str(number) for number in range(count)], 1), classes, "lsro", plan)
    table = pa.Table.from_pylist([{**row, **nobody} for row in rows.to_pylist()], schema=SYNTHETIC_SCHEMA)
    return table.sort_by("sample_id")


def rejects(*values: dict[str, Any]) -> pa.Table:
    rows = [{"item_id": name(f"reject {n}"), "stage": "s", "reason": "corrupt", **row} for n, row in enumerate(values)]
    return pa.Table.from_pylist(rows, schema=REJECT_SCHEMA)


def write(
    uri: str,
    kind: Kind,
    *shards: pa.Table,
    classes: ClassMap | None = None,
    rejected: pa.Table | None = None,
    plan: str = "plan",
    run: dict[str, Any] | None = None,
) -> Dataset:
    """A closed data set of these shards; ``rejected`` go with the first."""
    footer = {ClassMap.FOOTER_KEY: classes.to_json()} if classes is not None else {}
    extra = [rejected.num_rows if rejected is not None and number == 0 else 0 for number in range(len(shards))]
    planned = {number: table.num_rows + extra[number] for number, table in enumerate(shards)}
    started = DatasetRun.start(uri, kind, name(plan), planned, footer=footer, run=run)
    for number, table in enumerate(shards):
        started.sink.commit(number, table, rejected if number == 0 else None)
    started.close()
    return open_dataset(uri)


def everything(uri: str) -> list[tuple[str, bytes]]:
    """Paths and bytes of all files of a data set."""
    storage = open_storage(uri)
    return [(entry.path, storage.read(entry.path) or b"") for entry in storage.list()]


def assert_no_trace(uri: str, words: Sequence[bytes]) -> None:
    """Neither in the files as they lie there, nor in what their compressed columns and metadata say."""
    for path, data in everything(uri):
        said = data
        if path.endswith((".parquet", ".table")):
            file = pq.ParquetFile(pa.BufferReader(data))
            said += repr((file.metadata.metadata, file.schema_arrow.metadata, file.read().to_pylist())).encode()
        for word in words:
            assert word not in said, (path, word[:30])
