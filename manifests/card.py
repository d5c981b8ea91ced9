"""What a person or another tool opens first: every row without its picture, a card, metadata, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import parquet
from manifests.attestation import STATEMENT, statement
from manifests.croissant import CROISSANT, croissant
from manifests.dataset import Dataset
from manifests.log import dump
from manifests.products import products
from manifests.schema import SCHEMAS, Kind
from manifests.summary import summarize

SAMPLES_META = "samples_meta.parquet"
CARD = "README.md"
_PICTURES = ("image", "mask")
_VALUES_SHOWN = 12


def write_inspection_files(dataset: Dataset) -> None:
    """Write what lies beside the shards; the same snapshot and run record give the same bytes.

    ``samples_meta.parquet`` has all columns but pictures, plus file and row; ``README.md`` is for people,
    ``croissant.json`` and ``provenance.intoto.json`` are for other tools.
    """
    _write_samples_meta(dataset)
    dataset.storage.write(CARD, _card(dataset).encode())
    files = products(dataset, [SAMPLES_META])
    dataset.storage.write(CROISSANT, dump(croissant(dataset, files)))
    dataset.storage.write(STATEMENT, dump(statement(dataset, files)))


def _write_samples_meta(dataset: Dataset) -> None:
    schema = SCHEMAS[dataset.kind]
    columns = [name for name in schema.names if name not in _PICTURES]
    place: list[pa.Field[Any]] = [pa.field("file", pa.string()), pa.field("row", pa.int32())]
    meta = pa.schema([*place, *(schema.field(name) for name in columns)])
    with (
        dataset.storage.writer(SAMPLES_META) as stream,
        parquet.open_writer(stream, meta, dataset.footer) as writer,
    ):
        for entry, table in zip(dataset.snapshot.files, dataset.shards(columns), strict=True):
            files = pa.array([entry.path] * table.num_rows, pa.string())
            rows = pa.array(np.arange(table.num_rows, dtype=np.int32))
            writer.write_table(pa.Table.from_arrays([files, rows, *table.columns], schema=meta))


_FRONT_MATTER = """---
pretty_name: {title}
license: other
task_categories: [image-classification]
tags: [person-re-identification{tag}]
configs:
- config_name: default
  data_files: data/*.parquet
---
"""
_STATEMENTS: dict[Kind, str] = {
    "synthetic": (
        "**Every image here is synthetic**: made by reid-synth with trained generative models, not recorded by a "
        "camera (IPTC digital source type `trainedAlgorithmicMedia`, on every row). People on source images "
        "lent their appearance, pose or style: `sources` and `subject_keys` say whose. It is meant for "
        "training and studying person re-identification, and not for identifying anyone."
    ),
    "source": "Images of people as they were brought, with what is known of their licence and consent on every row.",
    "annotation": "Masks and keypoints of images of another data set, joined by `image_sha256`; no image is held here.",
}


def _card(dataset: Dataset) -> str:
    """A Hugging Face data set card: what it is, how much of it, on what terms, how to open it."""
    summary = summarize(dataset)
    title = f"Person re-identification, {dataset.kind} rows"
    tag = ", synthetic" if dataset.kind == "synthetic" else ""
    lines = [
        _FRONT_MATTER.format(title=title, tag=tag),
        f"# {title}\n",
        _STATEMENTS[dataset.kind] + "\n",
        f"{summary['rows']} rows in {summary['files']} files, {summary['bytes'] / 1e6:.1f} MB; "
        f"{summary['rejected']} of {summary['planned']} planned were rejected; "
        f"{len(summary['identities'])} identities.\n",
        "| column | value | rows |\n| --- | --- | --- |",
        *(f"| {name} | {value} | {rows} |" for name, value, rows in _table(summary["counts"])),
        *_inputs(dataset.run.get("run", {}).get("inputs")),
        "\n```python\nimport polars as pl\n"
        'rows = pl.scan_parquet("data/*.parquet")  # columns that a query does not name are not read\n```\n',
        "Settings, models, inputs and counts are in `run.json`; the rows without pictures in "
        "`samples_meta.parquet`; what was rejected, and why, in `rejects/`.\n",
    ]
    return "\n".join(lines)


def _table(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str, int]]:
    for name, values in counts.items():
        shown = list(values.items())[:_VALUES_SHOWN]
        yield from ((name, value.replace("|", "/"), rows) for value, rows in shown)
        if len(values) > len(shown):
            yield name, f"{len(values) - len(shown)} more", sum(values.values()) - sum(rows for _, rows in shown)


def _inputs(inputs: Any) -> Iterator[str]:
    """The run's inputs with their terms, where the job recorded them."""
    if not isinstance(inputs, list) or not inputs:
        return
    yield "\nMade from:\n"
    for one in inputs:
        if isinstance(one, Mapping):
            yield f"- {one.get('id', 'unnamed')}: licence {one.get('licence') or 'unknown'}, " + (
                f"consent {one.get('consent') or 'unknown'}"
            )
