#!/usr/bin/env bash
# OpenCV 5.0.0 and Pillow 13.0.0 read one PGM file as different pictures where its white is not 255 or 65535.
#
# Behaviour: a PGM header names the value of white (maxval), 4095 in the frames of a 12-bit thermal camera. Pillow scales to
# it: white is 65535. OpenCV parses it only to choose between 8 and 16 bits: as they are stored with IMREAD_UNCHANGED, and
# as a colour picture, which is what detectors and ReID networks are given, v / 256. So the same file is a full picture in
# one library and one whose brightest pixel is 15 of 255 in the other. With maxval 100 OpenCV's white is 100, Pillow's 255.
# Why it matters: infrared ReID (visible and thermal cameras) is read by both libraries, often by one in training and by
# the other in preparation, and nothing warns: a network trained on one sees black pictures through the other.
# Seen: 12 bits, values 0 2048 4095: cv2 colour 0 8 15, cv2 unchanged 0 2048 4095, Pillow 0 32776 65535;
#       maxval 100, values 0 50 100: cv2 0 50 100, Pillow 0 128 255
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    opencv-python-headless==5.0.0.93 pillow==13.0.0
"$folder/venv/bin/python" - <<'PY'
import io

import cv2
import numpy as np
from PIL import Image


def both(maxval: int, values: list[int]) -> tuple[list[int], list[int], list[int]]:
    kind = ">u2" if maxval > 255 else "u1"
    data = f"P5\n{len(values)} 1\n{maxval}\n".encode() + np.array(values, kind).tobytes()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    colour = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    with Image.open(io.BytesIO(data)) as picture:
        scaled = np.asarray(picture)
    return stored[0].tolist(), colour[0, :, 0].tolist(), scaled[0].tolist()


print("OpenCV", cv2.__version__, "Pillow", Image.__version__)
for maxval, values in ((4095, [0, 2048, 4095]), (100, [0, 50, 100])):
    print(maxval, *both(maxval, values))
assert both(4095, [0, 2048, 4095]) == ([0, 2048, 4095], [0, 8, 15], [0, 32776, 65535])
assert both(100, [0, 50, 100]) == ([0, 50, 100], [0, 50, 100], [0, 128, 255])
PY
