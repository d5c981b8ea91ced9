"""COCO's 17 keypoints: what everybody who moves them must agree on."""

from __future__ import annotations

import numpy as np

COCO_MIRROR = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
"""Which keypoint each becomes when the picture is mirrored: left and right change places."""
