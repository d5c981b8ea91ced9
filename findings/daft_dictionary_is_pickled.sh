#!/usr/bin/env bash
# Daft 0.7.26 with pyarrow 25.0.1: a dictionary column of an Arrow table is written to Parquet as Python's pickles.
#
# Behaviour: `daft.from_arrow` takes a dictionary of texts for objects of Python. In Daft they behave like texts (the filter finds
# them, `to_pydict` shows them); `write_parquet` pickles each into a binary column, as does `to_arrow`. pyarrow, polars 2.1.0 and
# DuckDB 2.0.0 read 20 bytes where "train" was. A dictionary of whole numbers goes the same way. The same table by way of a
# Parquet file, which keeps its dictionaries, is read by Daft as texts and written as texts. No message.
# Why it matters: split, role, domain and camera are dictionaries wherever somebody spared memory, so just the columns that a set is
# divided by. A set that passed through Daft has no row of the split "train" to any other reader, and 0 rows is a silent answer.
# Seen: rows of "train" in Daft 2; written: binary for pyarrow, polars and DuckDB, 0 rows; by way of a file: string, 2 rows
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    daft==0.7.26 pyarrow==25.0.1 polars==2.1.0 duckdb==2.0.0
cd "$folder"
cat > splits.py <<'PY'
from pathlib import Path

import daft
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def written(rows: daft.DataFrame, folder: str) -> tuple[str, str, str, int]:
    """The column's type to pyarrow, polars and DuckDB, and how many of its rows are ``train``."""
    rows.write_parquet(folder)
    (file,) = Path(folder).glob("*.parquet")
    column = pq.read_table(file)["split"].combine_chunks()
    stored = column.storage if isinstance(column, pa.ExtensionArray) else column
    count = pc.sum(pc.equal(stored.cast(pa.binary()), b"train")).as_py()
    by_duckdb = str(duckdb.sql(f"SELECT split FROM read_parquet('{file}')").types[0])
    return str(stored.type), str(pl.read_parquet(file, columns=["split"]).schema["split"]), by_duckdb, count


rows = pa.table({"split": pa.array(["train", "query", "train"]).dictionary_encode()})
given = daft.from_arrow(rows)
inside = given.where(daft.col("split") == "train").count_rows()
pq.write_table(rows, "rows.parquet")
direct, by_file = written(given, "direct"), written(daft.read_parquet("rows.parquet"), "by_file")
print("daft", daft.__version__, "inside", inside, "written", direct, "by way of a file", by_file)
assert inside == 2
assert (direct[0], direct[2], direct[3]) == ("large_binary", "BLOB", 0)
assert by_file == ("large_string", "String", "VARCHAR", 2)
PY
HOME="$folder" DO_NOT_TRACK=true DAFT_ANALYTICS_ENABLED=0 venv/bin/python splits.py 2> errors.log || { cat errors.log >&2; exit 1; }
