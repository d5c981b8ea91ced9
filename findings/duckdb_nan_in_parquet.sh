#!/usr/bin/env bash
# DuckDB 2.0.0 on Parquet files of pyarrow 26.0.1: a check for NaN finds none where there is one.
#
# Behaviour: a float column with a NaN, written by pyarrow (whose statistics leave NaN out, as the format asks). On the
# file, `count(*) ... WHERE isnan(q)` is 0, `max(q)` is the largest number, and `WHERE q > 5` has no NaN. On the same
# rows in memory they are 1, NaN, and NaN is among the rows, for DuckDB sorts NaN above every number. Polars 2.1.0
# finds the NaN in the file.
# Why it matters: whoever checks the quality scores of a manifest for NaN with DuckDB gets the answer that all is well.
# Seen: file (0, 9.0, [9.0]), memory (1, nan, [9.0, nan]), polars 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1 polars==2.1.0
cd "$folder"
venv/bin/python - <<'PY'
import math

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

rows = pa.table({"q": [1.0, math.nan, 9.0, 2.0]})
pq.write_table(rows, "rows.parquet", row_group_size=2)


def ask(table):
    def one(sql):
        return duckdb.sql(sql.format(table=table)).fetchall()

    return (
        one("SELECT count(*) FROM {table} WHERE isnan(q)")[0][0],
        one("SELECT max(q) FROM {table}")[0][0],
        [value for (value,) in one("SELECT q FROM {table} WHERE q > 5 ORDER BY q")],
    )


file, memory = ask("'rows.parquet'"), ask("rows")
found = pl.scan_parquet("rows.parquet").filter(pl.col("q").is_nan()).collect().height
print(f"file {file}, memory {memory}, polars {found}")
assert file == (0, 9.0, [9.0])
assert memory[0] == 1 and math.isnan(memory[1]) and memory[2][0] == 9.0 and math.isnan(memory[2][1])
assert found == 1
PY
