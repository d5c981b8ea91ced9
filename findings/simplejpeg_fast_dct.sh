#!/usr/bin/env bash
# simplejpeg 1.9.0: `encode_jpeg(..., fastdct=False)` writes the very bytes of `fastdct=True`.
#
# Behaviour: the parameter, which is True by default, changes no byte at any quality from 50 to 100. Below quality 96 the
# encoder takes the fast, coarser DCT whatever was asked for, from 96 on the accurate one; there its pictures are as good
# as Pillow's, byte for byte as long, while at 95 they are half a decibel worse than Pillow's of the same quality, and no
# argument brings that back.
# Why it matters: whoever writes training images at the usual 95 and turns the fast DCT off, to lose nothing, loses it all
# the same; 96 is the first quality that keeps it.
# Seen: 51 of 51 qualities equal; PSNR at 95: 41.4 dB, Pillow 41.9; at 96: 42.9, Pillow 42.9
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    simplejpeg==1.9.0 pillow==13.0.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import io

import numpy as np
import simplejpeg
from PIL import Image, ImageFilter

noise = np.random.default_rng(0).integers(0, 256, (256, 128, 3), np.uint8)
soft = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2))).astype(float)
picture = ((soft - soft.min()) / np.ptp(soft) * 255).astype(np.uint8)


def ours(quality: int, fast: bool) -> bytes:
    return simplejpeg.encode_jpeg(picture, quality=quality, colorsubsampling="444", fastdct=fast)


def pillows(quality: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "JPEG", quality=quality, subsampling=0)
    return target.getvalue()


def decibels(data: bytes) -> float:
    error = np.asarray(Image.open(io.BytesIO(data))).astype(float) - picture
    return float(10 * np.log10(255**2 / np.mean(error**2)))


equal = sum(ours(quality, True) == ours(quality, False) for quality in range(50, 101))
lost = {quality: decibels(pillows(quality)) - decibels(ours(quality, False)) for quality in (95, 96)}
print(f"{equal} of 51 qualities equal; behind Pillow by {lost[95]:.2f} dB at 95, {lost[96]:.2f} dB at 96")
assert equal == 51
assert lost[95] > 0.3
assert abs(lost[96]) < 0.05
PY
