#!/usr/bin/env bash
# label-studio-sdk 2.1.2: two people of one picture leave for COCO as one person, made of joints of both.
#
# Behaviour: Label Studio's page on exports asks that every keypoint be put under the rectangle of its person, and calls that
# necessary. The YOLO export uses it: two rectangles, two lines, each with its own joints. The COCO export does not look at it:
# all keypoints of the picture go into one annotation, where of two noses the later one stays. The joints that only one of the
# two has fill the gaps, the box spans both, and the rectangles are annotations of another category, without keypoints. No message.
# Why it matters: a crop with a second person in it is the common hard case of ReID, and the one that is sent to annotators. What
# comes back is a skeleton with its nose on one person and its ankle on the other; num_keypoints says that it is complete.
# Seen: A has nose and ankle, B a nose. YOLO: 2 lines, with 2 and 1 joints. COCO: 1 skeleton, nose of B (75, 12), ankle of A (20, 90)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" label-studio-sdk==2.1.2 pillow==13.0.0
cd "$folder"
cat > labels.xml <<'XML'
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="person"/></RectangleLabels>
  <KeyPointLabels name="joint" toName="image">
    <Label value="nose" model_index="0"/>
    <Label value="left_ankle" model_index="1"/>
  </KeyPointLabels>
</View>
XML
cat > leave.py <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter import Converter
from PIL import Image

SIZE = {"original_width": 100, "original_height": 100, "to_name": "image"}


def box(person: str, x: int) -> dict:
    value = {"x": x, "y": 5, "width": 30, "height": 90, "rotation": 0, "rectanglelabels": ["person"]}
    return {**SIZE, "id": person, "type": "rectanglelabels", "from_name": "box", "value": value}


def joint(person: str, name: str, x: int, y: int) -> dict:
    value = {"x": x, "y": y, "width": 1, "keypointlabels": [name]}
    head = {"id": f"{person} {name}", "parentID": person, "type": "keypointlabels", "from_name": "joint"}
    return {**SIZE, **head, "value": value}


Image.new("RGB", (100, 100)).save("crop.jpg")
marks = [
    *(box("A", 5), joint("A", "nose", 20, 10), joint("A", "left_ankle", 20, 90)),
    *(box("B", 60), joint("B", "nose", 75, 12)),
]
task = {"id": 1, "data": {"image": str(Path("crop.jpg").resolve())}}
Path("task.json").write_text(json.dumps([{**task, "annotations": [{"id": 1, "completed_by": 1, "result": marks}]}]))
converter = Converter(Path("labels.xml").read_text(), project_dir=".")
converter.convert_to_coco("task.json", "coco", is_dir=False)
converter.convert_to_yolo("task.json", "yolo", is_dir=False)
annotations = json.loads(Path("coco/result.json").read_text())["annotations"]
skeletons = [one["keypoints"] for one in annotations if "keypoints" in one]
(labels,) = Path("yolo/labels").glob("*.txt")
seen = [sum(float(v) > 0 for v in line.split()[7::3]) for line in labels.read_text().splitlines()]
print("label-studio-sdk", version("label-studio-sdk"), "COCO", skeletons, "YOLO joints", seen)
assert len(annotations) == 3
assert skeletons == [[75, 12, 2, 20, 90, 2]]
assert seen == [2, 1]
PY
HOME="$folder" venv/bin/python leave.py 2> errors.log || { cat errors.log >&2; exit 1; }
