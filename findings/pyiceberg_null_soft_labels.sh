#!/usr/bin/env bash
# PyIceberg 0.12.0 with pyarrow 26.0.1: a soft label that is null becomes one that is empty, in the file itself.
#
# Behaviour: `append` writes a null in a column of lists of structs as an empty list, also inside a struct, and a null in a map to
# structs as an empty map; a null in a list of numbers, texts or lists stays null. It is in the Parquet file that it is lost, so
# that no other reader sees it, and no message says so. pyarrow by itself keeps all of them. The rebuild of such a list takes
# offsets and values along, but not which lists were null.
# Why it matters: a soft label is a list of (identity, weight). Null says that a row has none (a real image, labelled by its
# identity), the empty list that its weight is on nobody: after an append the two cannot be told apart, `IS NULL` finds no row, and
# a mean over soft labels counts real images as such without a person.
# Seen: list of structs [1, 0, null] -> [1, 0, 0], list of ints [1, 0, null] -> [1, 0, null] (lengths); pyarrow keeps both
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    pyiceberg==0.12.0 pyarrow==26.0.1 sqlalchemy==2.1.9
cd "$folder"
cat > soft_labels.py <<'PY'
from importlib.metadata import version

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.memory import InMemoryCatalog

share = pa.struct([("identity", pa.int32()), ("weight", pa.float32())])
rows = pa.table(
    {
        "soft_label": pa.array([[{"identity": 2, "weight": 1.0}], [], None], pa.list_(share)),
        "identities": pa.array([[2], [], None], pa.list_(pa.int32())),
    }
)


def lengths(table: pa.Table) -> dict[str, list[int | None]]:
    return {name: [None if one is None else len(one) for one in table[name].to_pylist()] for name in rows.column_names}


pq.write_table(rows, "plain.parquet")
catalog = InMemoryCatalog("people", warehouse="lake")
catalog.create_namespace("market")
table = catalog.create_table("market.rows", schema=rows.schema)
table.append(rows)
(task,) = table.scan().plan_files()
found = {
    "pyarrow": lengths(pq.read_table("plain.parquet")),
    "file": lengths(pq.read_table(task.file.file_path.removeprefix("file://"))),
    "scan": lengths(table.scan().to_arrow()),
}
print("pyiceberg", version("pyiceberg"), found)
kept = {"soft_label": [1, 0, None], "identities": [1, 0, None]}
assert found["pyarrow"] == kept
assert found["file"] == found["scan"] == kept | {"soft_label": [1, 0, 0]}
PY
venv/bin/python soft_labels.py 2> errors.log || { cat errors.log >&2; exit 1; }
