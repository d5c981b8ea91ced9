#!/usr/bin/env bash
# Hugging Face datasets 5.2.0: of a Market-1501 folder, `load_dataset("imagefolder")` reads training and gallery, and no query.
#
# Behaviour: as soon as the name of one folder or file has "train" or "test" in it (bounding_box_train, bounding_box_test), images
# are dealt to splits by such words, and those under a path without one are left out: nothing counts them or names their folder.
# In a folder with train, query and gallery only train is left; in one with query and gallery alone both come, as one split called
# train. Likewise images that metadata.csv has no line for are left out where it has one for any.
# Why it matters: query, gallery and distractors are what a ReID set has beside training. "test" is then the gallery with nobody to
# look for, or there is none, and a set that is passed on in this form has lost its queries for good.
# Seen: 3 images in bounding_box_train, 2 in query, 4 in bounding_box_test: train 3, test 4; train 3, query 2, gallery 4: train 3;
#       query 2, gallery 4: train 6; 4 images of which metadata.csv names 2: train 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" datasets==5.2.0 pillow==13.0.0 pyarrow==26.0.1
cd "$folder"
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1
cat > load.py <<'PY'
from pathlib import Path

import datasets
from PIL import Image

datasets.disable_progress_bars()


def read(name: str, parts: dict[str, int], lines: str | None = None) -> dict[str, int]:
    """The splits, and how many images each has, of a folder with so many images in its parts."""
    for part, count in parts.items():
        for number in range(count):
            path = Path(name, part, f"{number:04d}_c1s1_000000_00.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 128), (number, 0, 0)).save(path)
    if lines:
        Path(name, "metadata.csv").write_text(lines)
    return {split: rows.num_rows for split, rows in datasets.load_dataset("imagefolder", data_dir=name).items()}


lines = "file_name,camera\nimages/0000_c1s1_000000_00.jpg,1\nimages/0001_c1s1_000000_00.jpg,1\n"
found = [
    read("market", {"bounding_box_train": 3, "query": 2, "bounding_box_test": 4}),
    read("named", {"train": 3, "query": 2, "gallery": 4}),
    read("measured", {"query": 2, "gallery": 4}),
    read("described", {"images": 4}, lines),
]
print("datasets", datasets.__version__, found)
assert found == [{"train": 3, "test": 4}, {"train": 3}, {"train": 6}, {"train": 2}]
PY
venv/bin/python load.py > out.log 2> errors.log || { cat out.log errors.log >&2; exit 1; }
cat out.log
if grep -q -i -E "query|gallery|ignor|skip" errors.log; then cat errors.log >&2; exit 1; fi
