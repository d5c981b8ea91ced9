#!/usr/bin/env bash
# Pillow 13.0.0 with numpy 2.4.6: a mask read from a 1-bit image is a bool array whose True is the byte 255.
#
# Behaviour: `np.asarray(image)` of mode "1" (so of every 1-bit PNG) has dtype bool, and each comparison, sum and index
# takes it for the mask that was written. Its bytes are 0 and 255, where numpy itself and torch write 0 and 1: the digest
# of its bytes is another, and `mask.view(np.uint8)`, the usual way to hand a bool mask to OpenCV or a matrix product
# without a copy, is 255 where the person is. An image times that view is not the person but, by overflow, 256 minus it.
# No copy cures it: `np.array(mask)`, `mask.astype(bool)` and slices keep the bytes; `mask != 0` or `mask & True` do not.
# Why it matters: digests of masks (provenance, caches, "is this the same training set") differ between a mask in memory
# and the same one from disk though `np.array_equal` says they are equal.
# Seen: equal True, same bytes False, largest byte 255, pixel 100 * view = 156
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import hashlib

import numpy as np
from PIL import Image

written = np.zeros((128, 64), bool)
written[30:100, 20:45] = True
Image.fromarray(written).save("mask.png")
read = np.asarray(Image.open("mask.png"))
assert read.dtype == bool
pixel = int((np.full(written.shape, 100, np.uint8) * read.view(np.uint8))[50, 30])
same_digest = hashlib.sha256(read.tobytes()).digest() == hashlib.sha256(written.tobytes()).digest()
print(
    f"equal {np.array_equal(read, written)}, same bytes {same_digest}, "
    f"largest byte {read.view(np.uint8).max()}, pixel 100 * view = {pixel}"
)
assert np.array_equal(read, written)
assert read.sum() == written.sum()
assert not same_digest
assert pixel == 156
for kept in (np.array(read), read.astype(bool), read[10:]):
    assert kept.view(np.uint8).max() == 255
for mended in (read != 0, read & True):
    assert mended.view(np.uint8).max() == 1
PY
