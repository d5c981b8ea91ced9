#!/usr/bin/env bash
# pycocotools 2.0.11: the keypoint score of perfect poses is 0.000 where categories are to be ignored.
#
# Behaviour: `params.useCats = 0` asks COCOeval for scores that ignore categories. Boxes and masks get them. For keypoints every
# figure is 0.0, however good the poses: the people of an image are looked up under category -1, where none are, so that no pose
# is compared with anything. Nothing is said, and 0.0 is not the -1 that stands for "nothing to measure". hotcoco 1.3.0, which
# promises the same figures, gives 1.0; faster-coco-eval 1.8.0 stops with an error.
# Why it matters: where each identity is a category, or roles such as rider and walker are, the question is whether the pose is
# right, whoever it is. A zero is taken for a fault of the poses.
# Seen: AP of perfect boxes, useCats 1 and 0: 1.0 1.0; of perfect poses: 1.0 0.0; hotcoco 1.0 1.0; faster-coco-eval RuntimeError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    pycocotools==2.0.11 hotcoco==1.3.0 faster-coco-eval==1.8.0 numpy==2.4.6
cd "$folder"
cat > score.py <<'PY'
import contextlib
import io
import json
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import faster_coco_eval
import hotcoco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

PEOPLE, BOX = (1, 2), [10.0, 10.0, 40.0, 100.0]
JOINTS = [number for joint in range(17) for number in (12 + 2 * joint, 14 + 5 * joint, 2)]
truth = {
    "images": [{"id": person, "width": 64, "height": 128} for person in PEOPLE],
    "categories": [{"id": person, "name": f"{person:04d}"} for person in PEOPLE],
    "annotations": [
        {
            **dict.fromkeys(("id", "image_id", "category_id"), person),
            **{"bbox": BOX, "area": 4000.0, "iscrowd": 0, "keypoints": JOINTS, "num_keypoints": 17},
        }
        for person in PEOPLE
    ],
}
poses, boxes = (
    [{"image_id": person, "category_id": person, "score": 0.9, name: value} for person in PEOPLE]
    for name, value in (("keypoints", JOINTS), ("bbox", BOX))
)


def average_precision(scores) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    return round(float(scores.stats[0]), 3)


def by_pycocotools(found: list[dict], kind: str, categories: int) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = deepcopy(truth)
        data.createIndex()
        scores = COCOeval(data, data.loadRes(deepcopy(found)), kind)
    scores.params.useCats = categories
    return average_precision(scores)


def by_hotcoco(categories: int) -> float:
    for name, content in (("truth.json", truth), ("poses.json", poses)):
        Path(name).write_text(json.dumps(content))
    data = hotcoco.COCO("truth.json")
    scores = hotcoco.COCOeval(data, data.load_res("poses.json"), "keypoints")
    scores.params.use_cats = bool(categories)
    return average_precision(scores)


def by_faster_coco_eval() -> str:
    data = faster_coco_eval.COCO(deepcopy(truth))
    found = data.loadRes(deepcopy(poses))
    scores = faster_coco_eval.COCOeval_faster(data, found, "keypoints", print_function=lambda *_: None)
    scores.params.useCats = 0
    try:
        return str(average_precision(scores))
    except RuntimeError:
        return "RuntimeError"


seen = {
    "boxes": [by_pycocotools(boxes, "bbox", categories) for categories in (1, 0)],
    "poses": [by_pycocotools(poses, "keypoints", categories) for categories in (1, 0)],
    "hotcoco": [by_hotcoco(categories) for categories in (1, 0)],
    "faster-coco-eval": by_faster_coco_eval(),
}
print("pycocotools", version("pycocotools"), seen)
assert seen == {"boxes": [1, 1], "poses": [1, 0], "hotcoco": [1, 1], "faster-coco-eval": "RuntimeError"}
PY
venv/bin/python score.py 2> errors.log || { cat errors.log >&2; exit 1; }
