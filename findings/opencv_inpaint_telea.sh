#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93): inpainting by Telea puts colours into a picture that are nowhere in it.
#
# Behaviour: of an image of one colour, 40 everywhere, `cv2.inpaint(..., cv2.INPAINT_TELEA)` fills a hole with 39 to 45: what it
# fills in is no weighted mean of what is around, but overshoots, the more the larger the hole. What the hole held does not
# matter. `cv2.INPAINT_NS` gives 40 everywhere, in slightly less time.
# Why it matters: a hole as large as a person, taken out of a dark background, comes out brighter in patches, a shape that a
# network can learn to look for; and a test that a flat background stays flat fails for no visible reason.
# Seen: hole of 24 x 24 pixels, radius 3: Telea 39 40 41 42 43, Navier-Stokes 40.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import cv2
import numpy as np

hole = np.zeros((64, 64), np.uint8)
hole[20:44, 20:44] = 1
found = {}
for held in (40, 255):
    image = np.full((64, 64, 3), 40, np.uint8)
    image[hole > 0] = held
    for name, way in (("Telea", cv2.INPAINT_TELEA), ("Navier-Stokes", cv2.INPAINT_NS)):
        found[name, held] = np.unique(cv2.inpaint(image, hole, 3, way)).tolist()
print(found)
for held in (40, 255):
    assert found["Telea", held] == [39, 40, 41, 42, 43]
    assert found["Navier-Stokes", held] == [40]
PY
