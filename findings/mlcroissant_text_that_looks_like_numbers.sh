#!/usr/bin/env bash
# mlcroissant 1.1.1: a field that Croissant declares as text, "0002", is read from CSV as "2", or as "2.0" where one row has none.
#
# Behaviour: `records()` reads tables by pandas, which guesses a type for each column, and makes the declared type out of that guess:
# sc:Text comes from a number, 2, or from a float as soon as one value is missing. "1e5" becomes "100000.0", and an identity called
# "NA" is nobody. From Parquet, where types are known, texts are right, but whole numbers with a null beside them pass through
# floats too: sc:Integer above 2**53 comes back as its neighbour. Croissant's validation finds nothing to say.
# Why it matters: identities of Market-1501 have four digits and are declared as text for just that reason. "0002" meets no
# "0002" of any other reader, and what it becomes depends on whether the set has images of nobody. Long numbers are keys of frames
# and tracks (time, camera and person in one); two of them become one.
# Seen: CSV 0002, 0012 -> 2, 12; with a row without identity 2.0, 12.0, None; with 1e5 and NA: 2.0, 100000.0, None;
#       Parquet, texts 0002, null, NA: right; integers 9007199254740993, 9007199254740992: right, with a null both ...992
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" mlcroissant==1.1.1 pyarrow==26.0.1
cd "$folder"
cat > read.py <<'PY'
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import mlcroissant
import pyarrow as pa
from pyarrow import parquet

NAMES = ["column", "extract", "field", "fileObject", "recordSet", "source"]
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
}
CONTEXT |= {
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{name: f"cr:{name}" for name in NAMES},
}
CONTEXT |= {"dataType": {"@id": "cr:dataType", "@type": "@vocab"}}


def read(file: str, kind: str) -> list:
    """The column `identity` of a file, as the records of a Croissant description have it that declares it as of this kind."""
    media = "text/csv" if file.endswith("csv") else "application/x-parquet"
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    origin = {"fileObject": {"@id": "file"}, "extract": {"column": "identity"}}
    field = {"@type": "cr:Field", "@id": "rows/identity", "name": "identity", "dataType": kind, "source": origin}
    resource = {"@type": "cr:FileObject", "@id": "file", "name": "file", "contentUrl": file}
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "people",
        "description": "people",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": "https://creativecommons.org/publicdomain/zero/1.0/",
        "url": "https://example.org",
        "distribution": [resource | {"encodingFormat": media, "sha256": digest}],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": [field]}],
    }
    Path("croissant.json").write_text(json.dumps(described))
    values = [row["rows/identity"] for row in mlcroissant.Dataset("croissant.json").records("rows")]
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def of_csv(*identities: str) -> list:
    Path("rows.csv").write_text("\n".join(["identity,camera", *(f"{one},1" for one in identities)]) + "\n")
    return read("rows.csv", "sc:Text")


def of_parquet(values: list, kind: str) -> list:
    parquet.write_table(pa.table({"identity": values}), "rows.parquet")
    return read("rows.parquet", kind)


long = [2**53 + 1, 2**53]
found = [
    of_csv("0002", "0012"),
    of_csv("0002", "0012", ""),
    of_csv("0002", "1e5", "NA"),
    of_parquet(["0002", None, "NA"], "sc:Text"),
    of_parquet(long, "sc:Integer"),
    of_parquet([*long, None], "sc:Integer"),
]
print("mlcroissant", version("mlcroissant"), *found)
assert found[:3] == [["2", "12"], ["2.0", "12.0", None], ["2.0", "100000.0", None]]
assert found[3:] == [["0002", None, "NA"], long, [2**53, 2**53, None]]
PY
venv/bin/python read.py 2> errors.log || { cat errors.log >&2; exit 1; }
