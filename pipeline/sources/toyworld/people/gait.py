"""How somebody walks: a pose in a walk cycle and the joints that follow from it.

The body frame has x forwards, y to the person's left, z up, metres; the lower foot touches z = 0. Angles of hip,
knee and foot over the cycle follow the usual curves of clinical gait analysis (heel strike at phase 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.format.skeleton import KEYPOINT_NAMES as COCO
from pipeline.sources.toyworld.mesh import cross
from pipeline.sources.toyworld.people.wardrobe import Person
from pipeline.sources.toyworld.randomness import choose

Vector = NDArray[np.floating[Any]]
Joints = dict[str, Vector]
"""positions and axes by name"""

_PHASE = np.array([0, 10, 25, 40, 50, 60, 72, 85, 95, 100]) / 100
_HIP = np.radians([28, 24, 8, -6, -11, -5, 17, 31, 30, 28])
_KNEE = np.radians([5, 17, 12, 6, 14, 37, 62, 34, 6, 5])
_FOOT = np.radians([18, 2, 0, -4, -24, -58, -36, 2, 18, 18])


@dataclass(frozen=True)
class Pose:
    """One moment of somebody's walk. Angles in radians."""

    phase: float
    """of the left leg, 0 to 1"""
    stride: float
    """0 standing, 1 usual walk, 1.3 fast"""
    arm_swing: float
    lean: float
    sway: float
    twist: float
    """shoulders against pelvis"""
    head_yaw: float
    head_pitch: float
    arms: tuple[str, str]
    """left and right: swing, pocket, phone, hold, carry or fold"""


def sample_pose(rng: np.random.Generator, person: Person, variety: bool) -> Pose:
    """A moment of a walk; ``variety`` adds more people who stand, look down or hold things."""
    standing = rng.random() < (0.35 if variety else 0.07)
    usual = {"swing": 74.0, "pocket": 7.0, "phone": 3.0, "hold": 7.0, "carry": 4.0, "fold": 2.0}
    weights = {
        name: weight if name == "swing" else weight * (2.2 if variety else 1.0) for name, weight in usual.items()
    }
    left, right = choose(rng, weights), choose(rng, weights)
    if person.bag == "handbag":
        right = "carry"
    stride = rng.uniform(0.0, 0.25) if standing else rng.uniform(0.7, 1.25)
    old = person.age == "old"
    return Pose(
        phase=float(rng.random()),
        stride=float(stride * (0.75 if old else 1.0)),
        arm_swing=float(rng.uniform(0.4, 1.4)),
        lean=float(rng.normal(0.05 + 0.08 * old, 0.04 if not variety else 0.08)),
        sway=float(rng.normal(0, 0.02 if not variety else 0.05)),
        twist=float(rng.normal(0, 0.05)),
        head_yaw=float(np.clip(rng.normal(0, 0.25), -1.1, 1.1)),
        head_pitch=float(rng.normal(-0.08, 0.13 if not variety else 0.22)),
        arms=(left, right),
    )


def joints(person: Person, pose: Pose) -> Joints:
    """Joint positions (metres, body frame) and the unit axes ``head_forward``, ``head_up``, ``chest_forward``,
    ``chest_left``, ``pelvis_left``, ``left_foot_direction`` and ``right_foot_direction``."""
    size = person.stature
    body: Joints = {}
    swing = pose.stride * np.cos(2 * np.pi * (pose.phase - 0.97))
    turn = 0.10 * swing
    body["pelvis_left"] = _yaw(-turn) @ np.array([0.0, 1.0, 0.0])
    body["pelvis"] = np.zeros(3)
    for side, sign, phase in (("left", 1.0, pose.phase), ("right", -1.0, (pose.phase + 0.5) % 1)):
        _leg(body, side, sign, phase, pose, size, person)
    lowest = min(point[2] for name, point in body.items() if name.endswith(("heel", "toe")))
    for name in list(body):
        if not name.endswith(("_left", "_direction")):
            body[name] = body[name] - np.array([0, 0, lowest])
    _trunk(body, pose, size, turn + pose.twist)
    for side, sign, phase in (("left", 1.0, pose.phase), ("right", -1.0, (pose.phase + 0.5) % 1)):
        mode = pose.arms[0 if side == "left" else 1]
        _arm(body, side, sign, phase, mode, pose, person)
    return body


def place(body: Joints, heading: float, x: float, y: float) -> Joints:
    """The joints in the world, for somebody at (x, y) who walks towards angle ``heading`` (radians, from +x)."""
    rotation = _yaw(heading)
    axis = ("_left", "_direction", "_forward", "_up")
    ground = np.array([x, y, 0.0])
    return {name: rotation @ v + (0 if name.endswith(axis) else ground) for name, v in body.items()}


def coco_points(world: Joints) -> NDArray[np.float32]:
    """17 x 3 keypoint positions in the order of `COCO`."""
    return np.array([world[name] for name in COCO], np.float32)


def _leg(body: Joints, side: str, sign: float, phase: float, pose: Pose, size: float, person: Person) -> None:
    half = (0.052 if person.sex == "male" else 0.055) * size
    stance = 0.5 * max(0.0, 1 - pose.stride)
    hip = float(np.interp(phase, _PHASE, _HIP)) * pose.stride + pose.lean * 0.4
    knee = 0.05 + float(np.interp(phase, _PHASE, _KNEE)) * min(pose.stride, 1.1)
    foot = float(np.interp(phase, _PHASE, _FOOT)) * min(pose.stride, 1.1)
    spread = sign * (0.02 + 0.06 * stance)
    thigh = np.array([np.sin(hip), spread, -np.cos(hip)])
    shank = np.array([np.sin(hip - knee), 0.2 * spread, -np.cos(hip - knee)])
    top = body["pelvis"] + body["pelvis_left"] * (sign * half)
    middle = top + thigh * (0.240 * size)
    ankle = middle + shank * (0.246 * size)
    out = sign * (0.12 + 0.2 * stance)
    direction = np.array([np.cos(foot) * np.cos(out), np.cos(foot) * np.sin(out), np.sin(foot)])
    down = np.array([np.sin(foot), 0.0, -np.cos(foot)])
    sole = ankle + down * (0.039 * size)
    body |= {f"{side}_hip": top, f"{side}_knee": middle, f"{side}_ankle": ankle}
    body |= {f"{side}_heel": sole - direction * (0.045 * size), f"{side}_toe": sole + direction * (0.107 * size)}
    body[f"{side}_foot_direction"] = direction


def _trunk(body: Joints, pose: Pose, size: float, twist: float) -> None:
    spine = np.array([np.sin(pose.lean), np.sin(pose.sway), np.cos(pose.lean)])
    spine /= np.linalg.norm(spine)
    chest = _yaw(twist)
    left = chest @ np.array([0.0, 1.0, 0.0])
    left = left - spine * (left @ spine)
    left /= np.linalg.norm(left)
    forward = cross(left, spine)
    body |= {"chest_left": left, "chest_forward": forward}
    body["neck"] = body["pelvis"] + spine * (0.305 * size)
    shoulder_line = body["pelvis"] + spine * (0.281 * size)
    body["left_shoulder"] = shoulder_line + left * (0.104 * size)
    body["right_shoulder"] = shoulder_line - left * (0.104 * size)
    head = _yaw(twist + pose.head_yaw)
    facing = head @ np.array([np.cos(pose.head_pitch), 0.0, np.sin(pose.head_pitch)])
    up = head @ np.array([-np.sin(pose.head_pitch), 0.0, np.cos(pose.head_pitch)])
    side = cross(up, facing)
    base = body["neck"] + spine * (0.042 * size) + forward * (0.012 * size)
    center = base + up * (0.060 * size) + facing * (0.010 * size)
    body |= {"head_base": base, "head": center, "head_forward": facing, "head_up": up}
    body["nose"] = center + facing * (0.064 * size) - up * (0.008 * size)
    for name, sign in (("left", 1.0), ("right", -1.0)):
        body[f"{name}_eye"] = center + facing * (0.050 * size) + up * (0.010 * size) + side * (sign * 0.019 * size)
        body[f"{name}_ear"] = center - facing * (0.004 * size) + side * (sign * 0.042 * size)


def _arm(body: Joints, side: str, sign: float, phase: float, mode: str, pose: Pose, person: Person) -> None:
    size = person.stature
    counter = -np.cos(2 * np.pi * (phase - 0.97)) * pose.stride * pose.arm_swing
    wide = 0.10 + 0.10 * (person.build - 0.9)
    flexion, abduction, elbow, inward = {
        "swing": (0.02 + 0.36 * counter, wide, 0.28 + 0.25 * max(counter, 0.0), 0.10),
        "carry": (0.05 + 0.10 * counter, wide + 0.03, 0.12, 0.0),
        "pocket": (-0.38, 0.30, 0.95, 0.10),
        "phone": (0.75, 0.35, 2.35, 0.20),
        "hold": (0.20, 0.16, 1.45, 0.30),
        "fold": (0.30, 0.12, 1.60, 0.85),
    }[mode]
    forward, left = body["chest_forward"], body["chest_left"]
    up = cross(forward, left)
    down = np.cos(flexion) * np.cos(abduction)
    upper = np.sin(flexion) * forward + sign * np.sin(abduction) * left - down * up
    angle = flexion + elbow
    lower = np.sin(angle) * forward - sign * inward * left - np.cos(angle) * up
    upper, lower = upper / np.linalg.norm(upper), lower / np.linalg.norm(lower)
    body[f"{side}_elbow"] = body[f"{side}_shoulder"] + upper * (0.178 * size)
    body[f"{side}_wrist"] = body[f"{side}_elbow"] + lower * (0.146 * size)
    body[f"{side}_hand"] = body[f"{side}_wrist"] + (lower * 0.8 - 0.2 * up) * (0.085 * size)


def _yaw(angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
