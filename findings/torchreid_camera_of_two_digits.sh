#!/usr/bin/env bash
# torchreid 0.2.5: in a set of Market-1501's layout, cameras 10 and 12 are read as camera 1, without a word.
#
# Behaviour: `Market1501` takes the first digit after `_c` for the camera, so `0001_c10s1_...` and `0001_c12s1_...` are
# images of camera 1, and no message says so; `DukeMTMCreID` does the same. An image by camera 20 is one by camera 2.
# Why it matters: images by one camera are left out of each query's gallery, so a set of twelve cameras is measured as
# one of nine at most, and pairs that cross cameras are thrown away as if they did not.
# Seen: cameras written 1, 10, 12 -> read (0, 0, 0), counted from 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --no-deps torchreid==0.2.5
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
  torch==2.15.0 torchvision numpy scipy pillow h5py six gdown opencv-python-headless matplotlib yacs tensorboard
cd "$folder"
venv/bin/python -W ignore - <<'PY'
from pathlib import Path

from PIL import Image
from torchreid.reid.data.datasets.image.market1501 import Market1501

root = Path("data/market1501/Market-1501-v15.09.15")
for part in ("bounding_box_train", "query", "bounding_box_test"):
    (root / part).mkdir(parents=True)
    for camera in (1, 10, 12):
        Image.new("RGB", (64, 128)).save(root / part / f"0001_c{camera}s1_0000{camera:02d}_00.jpg")
data = Market1501(root="data")
read = tuple(camera for _, _, camera, *_ in sorted(data.train))
print("read", read, "names", [Path(row[0]).name for row in sorted(data.train)])
assert read == (0, 0, 0)
PY
