#!/usr/bin/env bash
# Datumaro 1.13.12: joints that nobody labelled are seen joints in the image's corner after a way through CVAT's format.
#
# Behaviour: a COCO person with 3 of 17 joints is read right (the others are `absent`) and written as CVAT 1.1 XML with all 17
# points, the absent ones at 0,0, for the format's points know no visibility. Read back and written as COCO, all 17 are v = 2 and
# num_keypoints is 17; a joint that was hidden (v = 1) is seen, too. No step warns of it. Datumaro's own format keeps all of it.
# Why it matters: the trip of a set to annotators and back pulls every pose towards the corner: a pose network learns it,
# OKS counts 14 joints that cannot be found, and a pose-guided generator draws limbs to it.
# Seen: num_keypoints 3 -> 17, joints at (0, 0) with v = 2: 0 -> 14; by Datumaro's own format 3 -> 3, 0 -> 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" datumaro==1.13.12 numpy==2.4.6 pillow==12.3.0
cd "$folder"
cat > trip.py <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

from datumaro.components.dataset import Dataset
from PIL import Image

KEYPOINTS = "coco_person_keypoints"
annotations = Path("people/annotations/person_keypoints_train.json")
for one in (annotations.parent, Path("people/images/train")):
    one.mkdir(parents=True)
Image.new("RGB", (64, 128)).save("people/images/train/0002_c1s1_000001_00.jpg")
person = {
    "id": 1,
    "image_id": 1,
    "category_id": 1,
    "bbox": [10, 10, 40, 100],
    "area": 4000,
    "iscrowd": 0,
    "segmentation": [],
    "keypoints": [30, 20, 2, *[0, 0, 0] * 4, 20, 40, 2, 44, 40, 1, *[0, 0, 0] * 10],
    "num_keypoints": 3,
}
image = {"id": 1, "file_name": "0002_c1s1_000001_00.jpg", "width": 64, "height": 128}
kind = {"id": 1, "name": "person", "keypoints": [f"joint {number}" for number in range(17)], "skeleton": []}
annotations.write_text(json.dumps({"images": [image], "categories": [kind], "annotations": [person]}))


def after(through: str) -> tuple[int, int]:
    """num_keypoints, and joints at (0, 0) that are called seen, after a way through a format."""
    Dataset.import_from("people", KEYPOINTS).export(through, through, save_media=True)
    Dataset.import_from(through, through).export(f"{through}-back", KEYPOINTS, save_media=True)
    (written,) = Path(f"{through}-back", "annotations").glob("person_keypoints_*.json")
    (back,) = json.loads(written.read_text())["annotations"]
    joints = [tuple(back["keypoints"][first : first + 3]) for first in range(0, 51, 3)]
    return back["num_keypoints"], joints.count((0, 0, 2))


found = {name: after(name) for name in ("cvat", "datumaro")}
print("datumaro", version("datumaro"), found)
assert found == {"cvat": (17, 14), "datumaro": (3, 0)}
PY
HOME="$folder" venv/bin/python trip.py 2> errors.log || { cat errors.log >&2; exit 1; }
