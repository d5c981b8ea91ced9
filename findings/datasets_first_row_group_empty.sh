#!/usr/bin/env bash
# Hugging Face datasets 5.2.0 with pyarrow 26.0.1: a Parquet file whose first row group is empty cannot be loaded.
#
# Behaviour: the file is valid, holds three rows, and pyarrow, polars 2.1.0 and DuckDB 2.0.0 read all three.
# `load_dataset("parquet", ...)` raises ArrowInvalid "BatchSize must be greater than 0, got 0" when streaming, and
# DatasetGenerationError when not: the number of rows of the first row group is taken as the size of a batch. An empty
# row group in the middle does no harm.
# Why it matters: a writer that is given a table at a time makes one whenever the first table has no rows, as a shard
# does whose first batch was rejected.
# Seen: readers 3 3 3, empty in the middle 6; ArrowInvalid: BatchSize must be greater than 0, got 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" venv/bin/python - <<'PY'
import datasets
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

datasets.disable_progress_bars()
rows = pa.table({"x": [1, 2, 3]})


def write(path, *tables):
    with pq.ParquetWriter(path, rows.schema) as writer:
        for table in tables:
            writer.write_table(table)


def load(path):
    return sum(1 for _ in datasets.load_dataset("parquet", data_files=path, split="train", streaming=True))


write("first.parquet", rows.slice(0, 0), rows)
write("middle.parquet", rows, rows.slice(0, 0), rows)
readers = (
    pq.read_table("first.parquet").num_rows,
    pl.read_parquet("first.parquet").height,
    duckdb.sql("SELECT count(*) FROM 'first.parquet'").fetchall()[0][0],
)
print("readers", *readers, "empty in the middle", load("middle.parquet"))
assert readers == (3, 3, 3)
assert load("middle.parquet") == 6
try:
    load("first.parquet")
except pa.ArrowInvalid as error:
    print(f"ArrowInvalid: {error}")
    assert "BatchSize must be greater than 0, got 0" in str(error)
else:
    raise SystemExit("changed: it is loaded now")
PY
