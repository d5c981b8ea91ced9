#!/usr/bin/env bash
# mmpose 1.3.2 (mmengine 0.10.7, mmcv-lite 2.2.0): a keypoint whose SimCC logits are all negative loses its place.
#
# Behaviour: `SimCCLabel.decode` takes what an RTMPose head gives: logits, which no softmax has made positive. Where the
# largest logit of one axis is 0 or less, the location is not the peak but (-0.5, -0.5) at a split ratio of 2, whatever
# the shape of the peak; add a constant, which changes no probability, and the peak's place comes back. The score is the
# smaller of the two largest logits: neither within [0, 1] nor comparable between models.
# Why it matters: a threshold that is meant for probabilities means nothing here, and an unsure joint stands at the
# corner of the person's box as if it had been seen there.
# Seen: peak -1.0 -> (-0.5, -0.5); all logits + 2 -> (100.0, 150.0) score 1.0; + 9 -> (100.0, 150.0) score 8.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --no-deps \
  mmpose==1.3.2 mmengine==0.10.7 mmcv-lite==2.2.0 json-tricks==3.17.3 munkres==1.1.4
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
  torch==2.15.0 torchvision numpy opencv-python-headless scipy matplotlib six addict yapf rich termcolor pyyaml platformdirs packaging
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import numpy as np
from mmpose.codecs import SimCCLabel

codec = SimCCLabel(input_size=(192, 256), sigma=(4.9, 5.66), simcc_split_ratio=2.0, normalize=False, use_dark=False)
x, y = np.full((1, 1, 384), -6.0, np.float32), np.full((1, 1, 512), -6.0, np.float32)
x[0, 0, 200] = y[0, 0, 300] = -1.0


def decode(shift):
    keypoints, scores = codec.decode(x + np.float32(shift), y + np.float32(shift))
    return (*map(float, keypoints[0, 0]), float(scores[0, 0]))


seen = [decode(shift) for shift in (0, 2, 9)]
print(seen)
assert seen == [(-0.5, -0.5, -1.0), (100.0, 150.0, 1.0), (100.0, 150.0, 8.0)]
PY
