#!/usr/bin/env bash
# FiftyOne 1.22.1: an attribute of a COCO annotation takes the place of the annotation's own field of that name.
#
# Behaviour: FiftyOne's reader unfolds the dictionary `attributes` (where CVAT and Datumaro put what a label says beyond its
# class) over the fields of the annotation: an attribute called `image_id` replaces the annotation's own without a word, and
# is missing among the attributes. pycocotools keeps the two apart.
# Why it matters: ReID exports tell in an attribute which image a person was taken from, and `image_id` is its natural name.
# Seen: image_id 1 with attributes {"image_id": "abc", "identity": "0002"} is image_id "abc", attributes {"identity": "0002"}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" fiftyone==1.22.1
FIFTYONE_DO_NOT_TRACK=true HOME="$folder" "$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

from fiftyone.utils.coco import COCOObject

annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 8]}
plain = COCOObject.from_anno_dict({**annotation, "attributes": {"identity": "0002"}})
named = COCOObject.from_anno_dict({**annotation, "attributes": {"image_id": "abc", "identity": "0002"}})
print("fiftyone", version("fiftyone"), plain.image_id, plain.attributes, repr(named.image_id), named.attributes)
assert (plain.image_id, plain.attributes) == (1, {"identity": "0002"})
assert (named.image_id, named.attributes) == ("abc", {"identity": "0002"})
PY
