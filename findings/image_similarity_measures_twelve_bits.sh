#!/usr/bin/env bash
# image-similarity-measures 0.3.6: of two PNG files of noise the command says PSNR 31.8 dB and SSIM 0.57.
#
# Behaviour: the measures take 4095, the white of 12 bits, for the largest value unless `max_p` says otherwise, of uint8 arrays too.
# `evaluation` and the command `image-similarity-measures`, which read image files of 8 bits, have no argument for it. So PSNR is 24.1
# dB too high, RMSE a sixteenth of what it is, and SSIM so near to 1 that it hardly tells pictures apart. No picture of 8 bits can
# have less than 24.1 dB: that is white against black.
# Why it matters: 30 dB and more count as a good reconstruction. Two crops of different people pass for one another, and figures in
# a table beside those of another library are of another scale.
# Seen: 64 x 128, uniform noise: by files RMSE, PSNR, SSIM 0.026 31.8 0.572, with max_p=255 0.412 7.7 -0.010; black and white by
#       files 24.1 dB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" image-similarity-measures==0.3.6 setuptools pillow
cd "$folder"
cat > measure.py <<'PY'
import json
import subprocess
import sys

import numpy as np
from image_similarity_measures.quality_metrics import psnr, rmse, ssim
from PIL import Image

draws = np.random.default_rng(0)
pictures = {name: draws.integers(0, 256, (128, 64, 3)).astype(np.uint8) for name in ("one", "other")}
pictures |= {"black": np.zeros((128, 64, 3), np.uint8), "white": np.full((128, 64, 3), 255, np.uint8)}
for name, picture in pictures.items():
    Image.fromarray(picture).save(f"{name}.png")


def by_command(first: str, second: str) -> list[float]:
    """RMSE, PSNR and SSIM of two files."""
    names = ["rmse", "psnr", "ssim"]
    command = [sys.executable, "-W", "ignore", "-m", "image_similarity_measures.evaluate"]
    command += ["--org_img_path", f"{first}.png", "--pred_img_path", f"{second}.png"]
    command += [part for name in names for part in ("--metric", name)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [round(float(said["metrics"][name]), 3) for name in names]


noise = by_command("one", "other")
right = [round(float(measure(pictures["one"], pictures["other"], max_p=255)), 3) for measure in (rmse, psnr, ssim)]
extremes = by_command("black", "white")[1]
print("files", noise, "max_p=255", right, "black and white", extremes)
assert noise == [0.026, 31.816, 0.572]
assert right == [0.412, 7.701, -0.01]
assert extremes == 24.114
PY
venv/bin/python -W ignore measure.py 2> errors.log || { cat errors.log >&2; exit 1; }
