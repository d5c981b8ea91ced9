#!/usr/bin/env bash
# deltalake 1.6.6 (delta-rs) with pyarrow 26.0.1: unsigned numbers in lists of fixed length become null above the signed maximum.
#
# Behaviour: Delta has no unsigned types, so `write_deltalake` stores uint8 as int8, and likewise up to 64 bits. A column of
# uint8 that holds 200, and a list or a struct with one, are refused with a cast error. Inside a list of fixed length the same
# value is written as null, without a word; 127 and smaller are kept.
# Why it matters: lists of fixed length are the type of what every row has equally many of: mean colours, quantised embeddings,
# and weights of soft labels in 256 steps. The bright half of a colour goes, and whoever tried a plain column first
# believes that Delta would have complained.
# Seen: colour [200, 127, 40] -> [null, 127, 40]; uint16 60000, uint32 4000000000, uint64 2**63 -> null; the column, the list and the
#       struct: DeltaError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" deltalake==1.6.6 pyarrow==26.0.1
cd "$folder"
cat > colours.py <<'PY'
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, __version__, write_deltalake
from deltalake.exceptions import DeltaError


def written(values: pa.Array) -> object:
    """The first row as the Parquet file has it, or the name of what was raised."""
    path = tempfile.mkdtemp(dir=".")
    try:
        write_deltalake(path, pa.table({"value": values}))
    except DeltaError:
        return "DeltaError"
    (file,) = DeltaTable(path).file_uris()
    return pq.read_table(file)["value"][0].as_py()


colour = pa.array([[200, 127, 40]], pa.list_(pa.uint8(), 3))
other = {
    "column": pa.array([200], pa.uint8()),
    "list": pa.array([[200, 127, 40]], pa.list_(pa.uint8())),
    "struct": pa.array([{"red": 200}], pa.struct([("red", pa.uint8())])),
}
tops = ((pa.uint16(), 60_000), (pa.uint32(), 4_000_000_000), (pa.uint64(), 2**63))
lost = [written(pa.array([[top]], pa.list_(kind, 1))) for kind, top in tops]
refused = {name: written(values) for name, values in other.items()}
print("deltalake", __version__, "colour", written(colour), "wider", lost, refused)
assert written(colour) == [None, 127, 40]
assert lost == [[None], [None], [None]]
assert refused == dict.fromkeys(other, "DeltaError")
PY
venv/bin/python colours.py 2> errors.log || { cat errors.log >&2; exit 1; }
