"""Writes the small data sets, one of each kind, that later versions must keep reading.

python -m tests.manifests.write_version_fixture     # tests/manifests/data/version-<SCHEMA_VERSION>.zip

A fixture stays as its version wrote it: run this once when the schema version has changed, for the new one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from manifests.format.schema import SCHEMA_VERSION, Kind
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import (
    FOOTER,
    PLAN_ID,
    annotation_rows,
    reject_rows,
    source_rows,
    synthetic_rows,
)

FIXTURES = Path(__file__).parent / "data"
RUN = {"job": "fixture", "inputs": [{"id": "toyworld", "licence": "Apache-2.0", "consent": None}]}


def write_data_sets(folder: Path) -> None:
    """A closed data set of each kind below ``folder``, named after it; the synthetic one has a rejected row."""
    rows: dict[Kind, pa.Table] = {
        "source": source_rows(4),
        "annotation": annotation_rows(2),
        "synthetic": synthetic_rows(0, 3),
    }
    for kind, table in rows.items():
        rejects = reject_rows(1) if kind == "synthetic" else None
        planned = table.num_rows + (rejects.num_rows if rejects else 0)
        footer = FOOTER if kind == "synthetic" else {}
        run = DatasetRun.start(str(folder / kind), kind, PLAN_ID, {0: planned}, footer=footer, run=RUN)
        run.sink.commit(0, table, rejects)
        run.close()


if __name__ == "__main__":
    target = FIXTURES / f"version-{SCHEMA_VERSION}.zip"
    if target.exists():
        sys.exit(f"{target.name} is there already: a fixture stays as its version wrote it")
    with tempfile.TemporaryDirectory() as scratch:
        write_data_sets(Path(scratch))
        shutil.make_archive(str(target.with_suffix("")), "zip", scratch)
    print(f"written: {target.name}")
