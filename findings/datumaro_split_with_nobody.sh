#!/usr/bin/env bash
# Datumaro 1.13.12: one image of nobody, and its re-identification split has the same people in training and in test.
#
# Behaviour: `transform("split", task="reid")` promises a test set of people whom the training set lacks, and sets images without
# a label aside as `not-supported`. It numbers the labelled images by themselves, but applies those numbers to all images: after
# each image without a label every assignment is that of the image before, one further for each such image. As many images as
# have no label end in no part but `default`. Nothing is said. Without such images, or with all of them last, the split is right.
# `task="classification"` has the same fault, so that its parts are not of the shares that were asked for in each class.
# Why it matters: distractors (images of nobody, people out of noise) come with every ReID set, and their names, 0000 and -1, sort
# first. Scores on such a test set are those of people that the network was trained on.
# A Market-1501 folder as Datumaro itself reads it has its people as attributes of images, not as labels: there the split sets
# all images aside, and training, query and gallery are one heap; a warning speaks of too few people.
# Seen: 20 people of 4 images; people in both training and test: 0 without nobody, 13 with one first, 0 with one last; in
#       `default`: 0, 1, 0; of a Market-1501 folder: not-supported 4 of 4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" datumaro==1.13.12 numpy==2.4.6 pillow==12.3.0
cd "$folder"
cat > split.py <<'PY'
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from datumaro.components.annotation import Label
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from PIL import Image

PEOPLE, PARTS = [f"{number:04d}" for number in range(1, 21)], [("train", 0.5), ("test", 0.5)]
NOBODY = DatasetItem("0000_0", annotations=[])


def both(before: list[DatasetItem], after: list[DatasetItem]) -> tuple[int, int]:
    """People in training and in test, and images in neither."""
    people = [
        DatasetItem(f"{name}_{image}", annotations=[Label(label)])
        for label, name in enumerate(PEOPLE)
        for image in range(4)
    ]
    data = Dataset.from_iterable([*before, *people, *after], categories=PEOPLE)
    data.transform("split", task="reid", splits=PARTS, seed=0)
    part = {item.id: item.subset for item in data}
    train = {name[:4] for name, one in part.items() if one == "train"}
    test = {name[:4] for name, one in part.items() if one.startswith("test")}
    return len(train & test), list(part.values()).count("default")


for part, person in (("bounding_box_train", 1), ("bounding_box_train", 2), ("query", 3), ("bounding_box_test", 3)):
    Path("market", part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 128)).save(f"market/{part}/{person:04d}_c{1 + (part == 'query')}s1_000001_00.jpg")
market = Dataset.import_from("market", "market1501")
market.transform("split", task="reid", splits=PARTS, attr_for_id="person_id", seed=0)
found = both([], []), both([NOBODY], []), both([], [NOBODY])
print("datumaro", version("datumaro"), "without nobody", found[0], "first", found[1], "last", found[2])
print("market1501", dict(Counter(item.subset for item in market)))
assert found == ((0, 0), (13, 1), (0, 0))
assert Counter(item.subset for item in market) == {"not-supported": 4}
PY
HOME="$folder" venv/bin/python split.py 2> errors.log || { cat errors.log >&2; exit 1; }
