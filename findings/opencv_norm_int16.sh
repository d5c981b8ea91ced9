#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93) on x86-64 with AVX2: the L2 norm of a difference of int16 arrays is too large.
#
# Behaviour: `cv2.norm(a, b, cv2.NORM_L2SQR)` of int16 arrays adds 1 for each row of an odd number of values whose last two
# values, a's and b's, have different signs: (-2 - 5)^2 is 50. NORM_L2 has the same fault; even rows, values of one sign,
# processors without AVX2, int32, a mask, `cv2.norm(cv2.subtract(a, b), cv2.NORM_L2SQR)`, and OpenCV without Intel's IPP (`cv2.ipp.setUseIPP(False)`,
# OPENCV_IPP=disabled) are right. The wheels of 4.5.5, 4.8.1, 4.10 and 4.12 do the same.
# Why it matters: differences of Sobel gradients and of images that were centred at zero are int16 of mixed signs, and crops
# of people are often of odd width. The error is small, so that no picture shows it: sums that should be exact are not,
# two ways to compute one score differ, and 0 of equal arrays hides it.
# Seen: one value 50 for 49; 3 rows of 5: 738 for 735; rows of 4: right; without IPP: right.
set -euo pipefail
grep -qs avx2 /proc/cpuinfo || { echo "this processor has no AVX2"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import cv2
import numpy as np


def squared(first, second, shape, kind=np.int16):
    a, b = (np.full(shape, value, kind) for value in (first, second))
    return round(cv2.norm(a, b, cv2.NORM_L2SQR)), (first - second) ** 2 * a.size


one, rows, even = squared(-2, 5, (1, 1)), squared(-2, 5, (3, 5)), squared(-2, 5, (3, 4))
print("IPP", cv2.ipp.getIppVersion())
print("one value", one, "3 rows of 5", rows, "3 rows of 4", even)
assert one == (50, 49)
assert rows == (738, 735)
for found, exact in (even, squared(2, 5, (3, 5)), squared(-2, -5, (3, 5)), squared(-2, 5, (3, 5), np.int32)):
    assert found == exact
cv2.ipp.setUseIPP(False)
without = squared(-2, 5, (3, 5))
print("without IPP", without)
assert without == (735, 735)
PY
