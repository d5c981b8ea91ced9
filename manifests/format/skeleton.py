"""COCO-17 keypoints: how many, which limbs, and from which score a joint counts: what all who use a pose agree on."""

from __future__ import annotations

KEYPOINT_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""In COCO's order; left and right are the person's own."""
KEYPOINTS = len(KEYPOINT_NAMES)

LEAST_SCORE = 0.3
"""Joints under this score are not drawn, do not prompt a segmenter and are not compared."""

LIMB_HUES = (
    *((0, 1, 180), (0, 2, 60), (1, 3, 190), (2, 4, 50), (1, 2, 100), (3, 5, 170), (4, 6, 70)),
    *((5, 6, 120), (11, 12, 140)),
    *((5, 11, 210), (5, 7, 225), (7, 9, 240), (11, 13, 260), (13, 15, 275)),
    *((6, 12, 40), (6, 8, 25), (8, 10, 0), (12, 14, 340), (14, 16, 315)),
)
"""From joint, to joint (COCO's own 19 limbs), hue in degrees: left is cold, right is warm, across is green."""
