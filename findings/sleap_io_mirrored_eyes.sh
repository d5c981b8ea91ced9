#!/usr/bin/env bash
# sleap-io 0.9.5 with Ultralytics 8.4.190: poses that were written for YOLO teach it to take left for right.
#
# Behaviour: `save_ultralytics` writes a data.yaml whose `flip_idx` maps each joint to itself, also where the skeleton knows its
# symmetric pairs. To Ultralytics that list says which joints change places when a picture is mirrored, so: none. The left eye of a
# mirrored person stays "left_eye", on the right eye's side. Had the list been left out, Ultralytics would not mirror at all and
# say so in a warning. Nobody says anything of this one.
# Why it matters: sleap-io reads COCO, SLEAP, DeepLabCut, Label Studio and more, a ready way from annotators to a pose network.
# By default half of all pictures are mirrored (fliplr 0.5), so that each joint of a pair has two places to be at: the network
# learns to guess, and poses of people seen from behind look like those of people seen from the front.
# Seen: two pairs in the skeleton, flip_idx 0 1 2 3 4; left_eye at x = 44, right_eye at x = 24 of 64. Mirrored: left_eye 20,
#       right_eye 40; with 0 2 1 4 3 in the file, as it should be: 40 and 20. Without the line: 44 and 24, not mirrored
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --no-deps ultralytics==8.4.190
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" sleap-io==0.9.5 torch==2.15.0 torchvision==0.29.2 \
    numpy==2.4.6 opencv-python-headless pillow pyyaml requests matplotlib psutil polars scipy ultralytics-thop
cd "$folder"
export YOLO_CONFIG_DIR="$folder" YOLO_OFFLINE=true YOLO_VERBOSE=false
cat > mirror.py <<'PY'
import json
from pathlib import Path

import sleap_io
import ultralytics
import yaml
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset

JOINTS = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
AT = [
    (32, 30),
    (44, 28),
    (24, 28),
    (46, 30),
    (18, 30),
]  # a person who looks at us: the left eye is on the picture's right
DEFAULT_SHARE = get_cfg().fliplr

Image.new("RGB", (64, 64)).save("0.png")
person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 44, 44], "area": 1936, "iscrowd": 0}
person |= {"keypoints": [value for x, y in AT for value in (x, y, 2)], "num_keypoints": len(AT)}
coco = {
    "images": [{"id": 1, "file_name": "0.png", "width": 64, "height": 64}],
    "annotations": [person],
    "categories": [{"id": 1, "name": "person", "keypoints": JOINTS, "skeleton": [[1, 2], [1, 3]]}],
}
Path("people.json").write_text(json.dumps(coco))
labels = sleap_io.load_coco("people.json")
for side in ("eye", "ear"):
    labels.skeleton.add_symmetry(f"left_{side}", f"right_{side}")
sleap_io.save_ultralytics(labels, "yolo", split_ratios={"train": 1.0}, verbose=False)
written = yaml.safe_load(Path("yolo/data.yaml").read_text())


def eyes(order: list[int] | None) -> list[int]:
    """Where the left and the right eye are after Ultralytics' training transforms that always mirror, and do nothing else."""
    settings = {"task": "pose", "imgsz": 64, "fliplr": 1.0, "mosaic": 0.0, "translate": 0.0, "scale": 0.0}
    config = get_cfg(overrides=settings | {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, "auto_augment": None})
    data = {"names": written["names"], "kpt_shape": written["kpt_shape"], "channels": 3, "nc": 1}
    data |= {} if order is None else {"flip_idx": order}
    dataset = build_yolo_dataset(config, "yolo/train/images", 1, data, mode="train")
    return [round(float(x) * 64) for x in dataset[0]["keypoints"][0, 1:3, 0]]


found = {
    "pairs": len(labels.skeleton.symmetries),
    "flip_idx": written["flip_idx"],
    "as written": eyes(written["flip_idx"]),
    "as it should be": eyes([0, 2, 1, 4, 3]),
    "without": eyes(None),
}
print("sleap-io", sleap_io.__version__, "ultralytics", ultralytics.__version__, found, "share", DEFAULT_SHARE)
assert (DEFAULT_SHARE, found["pairs"], found["flip_idx"]) == (0.5, 2, [0, 1, 2, 3, 4])
assert (found["as written"], found["as it should be"], found["without"]) == ([20, 40], [40, 20], [44, 24])
PY
venv/bin/python mirror.py 2> errors.log || { cat errors.log >&2; exit 1; }
