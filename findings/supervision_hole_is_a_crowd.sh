#!/usr/bin/env bash
# supervision 0.31.2: in COCO files that it writes, a person with a hole in the mask, or in two parts, is a crowd.
#
# Behaviour: `DetectionDataset.as_coco` writes such a mask as run lengths and sets `iscrowd` to 1 with it; a mask without holes and
# in one piece becomes a polygon with 0. To COCO the flag says "a group that nobody counted": evaluation forgives whatever is found
# there and asks for nothing, and loaders of training data leave such objects out. The way to write run lengths is not to be had
# without it but by `data={"iscrowd": zeros}` beforehand, and that makes polygons, which have no holes.
# Why it matters: an arm on a hip makes a hole and a pole in front of a person two parts, and Segment Anything finds both. Just the
# hard people go, and a detector that misses all of them has a perfect score.
# Seen: two people, of whom only the one without a hole is found. Both masks whole: iscrowd 0 0, AP 0.505, 2 people to be found;
#       the second with a hole of 4 x 20 in 40 x 100 pixels: iscrowd 0 1, AP 1.000, 1 person
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    supervision==0.31.2 pycocotools==2.0.11 numpy==2.4.6 pillow==13.0.0
cd "$folder"
cat > score.py <<'PY'
import contextlib
import io

import numpy as np
import supervision as sv
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

whole = np.zeros((128, 64), bool)
whole[10:110, 10:50] = True
pierced = whole.copy()
pierced[40:60, 20:24] = False
for name in ("0.jpg", "1.jpg"):
    Image.new("RGB", (64, 128)).save(name)


def person(mask: np.ndarray) -> sv.Detections:
    return sv.Detections(xyxy=np.array([[10.0, 10.0, 50.0, 110.0]]), mask=mask[None], class_id=np.array([0]))


def outcome(second: np.ndarray) -> tuple[list[int], float, int]:
    """The flags, AP of a detector that finds the first of two people only, and the people that pycocotools counts."""
    people = {"0.jpg": person(whole), "1.jpg": person(second)}
    sv.DetectionDataset(["person"], list(people), people).as_coco(annotations_path="people.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO("people.json")
        box = {"image_id": 1, "category_id": 1, "bbox": [10.0, 10.0, 40.0, 100.0], "score": 0.9}
        scores = COCOeval(truth, truth.loadRes([box]), "bbox")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    flags = [one["iscrowd"] for one in truth.dataset["annotations"]]
    return flags, round(float(scores.stats[0]), 3), len(truth.getAnnIds(iscrowd=False))


found = outcome(whole), outcome(pierced)
print("supervision", sv.__version__, *found)
assert found == (([0, 0], 0.505, 2), ([0, 1], 1.0, 1))
PY
venv/bin/python score.py 2> errors.log || { cat errors.log >&2; exit 1; }
