#!/usr/bin/env bash
# webdataset 1.0.2 and Ray 2.60.0: person 11 in clothes 2 and person 1 in clothes 12 are read as one person.
#
# Behaviour: both decode a member `.cls` by Python's `int`, webdataset `.id` and `.index` as well. `int` takes underscores between
# digits for ornament, as in 1_000: "11_2" and "1_12" are 112, "0002_1" is 21, a person that may exist besides. No message; both
# libraries write such texts as they are, so that the shard is right, and as `.txt` or without decoding it is read right.
# Why it matters: sets with changes of clothes may name their classes person_clothes, others camera_track. "0_1x" would end the reading
# with an error; a name of digits and underscores goes through, with fewer people than the set has, and other ones.
# Seen: classes written 11_2, 1_12, 0002_1, 0021. webdataset .cls and .id: 112 112 21 21; .txt: as written; Ray .cls: 112 112 21 21
#       (its decoder by itself, which spares the script a cluster; `ray.data.read_webdataset` gives the same)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    webdataset==1.0.2 "ray[data]==2.60.0" numpy==2.4.6 pyarrow==26.0.1 pillow==13.0.0
cd "$folder"
cat > read.py <<'PY'
from pathlib import Path

import ray
import webdataset
from ray.data._internal.datasource.webdataset_datasource import _default_decoder as by_ray

NAMES = ["11_2", "1_12", "0002_1", "0021"]
shard = Path("people.tar").resolve()
with webdataset.TarWriter(str(shard)) as writer:
    for number, name in enumerate(NAMES):
        writer.write({"__key__": f"{number:06d}", "cls": name, "id": name, "txt": name})

rows = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode())
undecoded = list(webdataset.WebDataset(str(shard), shardshuffle=False))
found = {
    "cls": [row["cls"] for row in rows],
    "id": [row["id"] for row in rows],
    "txt": [row["txt"] for row in rows],
    "not decoded": [row["cls"].decode() for row in undecoded],
    "Ray cls": [by_ray({"cls": row["cls"]})["cls"] for row in undecoded],
}
print("webdataset", webdataset.__version__, "ray", ray.__version__, found)
assert found["cls"] == found["id"] == found["Ray cls"] == [112, 112, 21, 21]
assert found["txt"] == found["not decoded"] == NAMES
PY
venv/bin/python read.py 2> errors.log || { cat errors.log >&2; exit 1; }
