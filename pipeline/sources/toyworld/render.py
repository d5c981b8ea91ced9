"""One surveillance crop with its ground truth, from nothing but names: a pure function, safe in any process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.sources.toyworld.arrays import Floats, Picture
from pipeline.sources.toyworld.cameras import Camera, Light, make_light, make_response
from pipeline.sources.toyworld.framing import Box, frame_person
from pipeline.sources.toyworld.mesh import Mesh, join
from pipeline.sources.toyworld.people.body import dressed_mesh
from pipeline.sources.toyworld.people.gait import Vector, coco_points, joints, place, sample_pose
from pipeline.sources.toyworld.people.tailor import ATLAS_HEIGHT, draw_atlas
from pipeline.sources.toyworld.people.wardrobe import Person, make_person
from pipeline.sources.toyworld.randomness import generator
from pipeline.sources.toyworld.raster import View, bounds, draw, shadow
from pipeline.sources.toyworld.scenery.places import LINEAR, Scene, crop_scene, make_scene
from pipeline.sources.toyworld.sensor import decode, develop
from pipeline.sources.toyworld.settings import ToyWorldSettings

FINER = 1.5
"""Pixels drawn, to a side, for each pixel of the result."""
STRANGERS = 100_000
"""Identities from here on are passers-by and distractors, never in the lists."""

# How far (metres) the surface may lie before a joint that still counts as seen: joints are inside the body.
_DEPTH_OF_JOINT = np.array([0.05] * 5 + [0.13] * 2 + [0.10] * 2 + [0.08] * 2 + [0.16] * 2 + [0.12] * 4)


_AROUND = np.array([(x, y, z) for x in (-0.9, 0.9) for y in (-0.9, 0.9) for z in (0.0, 2.1)])
"""Corners of the space that a walking person may fill, metres from where they stand."""
_ABOVE = np.array([0.12, 0.08, 0.9895], np.float32)


@dataclass(frozen=True)
class ToySample:
    """A crop and what is true about it."""

    jpeg: bytes
    mask: NDArray[np.bool_]
    """H x W, visible pixels of the main person"""
    keypoints: Floats
    """17 x 3 in the order of COCO: x, y (pixels of the crop) and visibility (0 outside, 1 hidden, 2 seen)"""
    heading_deg: float
    """0 towards the camera, 90 to the right of the picture, 180 away, 270 to the left"""
    view: str
    """front, side or back"""
    person: Person
    camera: int

    @property
    def image(self) -> Picture:
        """H x W x 3 RGB uint8, as decoded from the JPEG file."""
        return decode(self.jpeg)


@dataclass(frozen=True)
class _Actor:
    person: Person
    world: dict[str, Vector]
    mesh: Mesh
    heading: float
    speed: float


def render_sample(
    settings: ToyWorldSettings, domain: str, identity: int, camera: int, draw_number: int, kind: str = "person"
) -> ToySample:
    """Image ``draw_number`` of ``identity`` by ``camera`` (from 1) of ``domain``.

    ``kind`` is 'person', 'junk' (the box is badly off) or 'empty' (nobody in it).
    """
    scene = make_scene(settings.seed, domain, camera)
    rng = generator(settings.seed, domain, "image", kind, identity, camera, draw_number)
    person = make_person(settings.seed, domain, identity)
    return render_crop(scene, person, rng, settings.height, settings.width, kind)


def render_variety(seed: int, number: int, *, height: int = 128, width: int = 64, places: int = 64) -> ToySample:
    """A crop for training: anybody, one of ``places`` random places (half of them rooms), camera pitch 0 to 62
    degrees, any light and camera, hard truncation, more neighbours. Places are kept in memory (3 MB each)."""
    rng = generator(seed, "variety", number)
    scene = make_scene(seed, "any", int(rng.integers(0, places)))
    person = make_person(seed, "any", int(rng.integers(0, STRANGERS)))
    camera = replace(scene.camera, response=make_response(rng, scene.camera.style, "any"))
    if rng.random() < 0.3:
        camera = replace(camera, light=make_light(rng, camera.style))
    return render_crop(replace(scene, camera=camera), person, rng, height, width, "person", variety=True)


def render_crop(
    scene: Scene,
    person: Person,
    rng: np.random.Generator,
    height: int,
    width: int,
    kind: str,
    variety: bool = False,
    heading_deg: float | None = None,
) -> ToySample:
    """``person`` somewhere in ``scene``; ``heading_deg`` as in `ToySample`, by default any."""
    camera = scene.camera
    x, y = scene.spots[int(rng.integers(0, len(scene.spots)))]
    toward = camera.view.position[:2] - (x, y)
    asked = None if heading_deg is None else float(np.radians(heading_deg) + np.arctan2(toward[1], toward[0]))
    main = _act(person, float(x), float(y), rng, variety, 1.0, asked)
    box = frame_person(camera.view.project(main.mesh.vertices), camera, rng, height, width, kind, variety)
    actors = [main, *_passers_by(scene, main, box, rng, variety)]
    if kind == "empty":
        actors = actors[1:]
    fine_height, fine_width = round(height * FINER), round(width * FINER)
    view = camera.view.cropped(box, fine_height, fine_width)
    light, owner, depth = _paint(scene, actors, view, box, fine_height, fine_width)
    small = cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA)
    own = cv2.resize((owner == 1).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    mask = own >= 0.5
    keypoints = _keypoints(main, view, depth, owner, mask)
    jpeg = develop(small, camera.response, rng, (box[3] - box[1]) / height)
    heading = _relative_heading(main, camera)
    facing = "front" if heading < 45 or heading > 315 else "back" if 135 < heading < 225 else "side"
    return ToySample(jpeg, mask, keypoints, heading, facing, person, int(camera.key[-1]))


def _act(
    person: Person,
    x: float,
    y: float,
    rng: np.random.Generator,
    variety: bool,
    tag: float,
    asked: float | None = None,
) -> _Actor:
    pose = sample_pose(rng, person, variety)
    drawn = float(rng.uniform(0, 2 * np.pi))
    heading = drawn if asked is None else asked
    world = place(joints(person, pose), heading, x, y)
    return _Actor(person, world, dressed_mesh(person, world, rng, tag), heading, pose.stride)


def _passers_by(scene: Scene, main: _Actor, box: Box, rng: np.random.Generator, variety: bool) -> list[_Actor]:
    """Other people of whom something may be seen in the box."""
    others: list[_Actor] = []
    seed, domain = int(scene.camera.key[0]), str(scene.camera.key[1])
    chances = (0.30, 0.25) if variety else (0.16, 0.22)
    at = main.world["pelvis"]
    for number, chance in enumerate(chances):
        if rng.random() > chance:
            continue
        if number == 0:  # beside or partly in front
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
            x, y = at[0] + far * np.cos(angle), at[1] + 1.5 * far * np.sin(angle)
        else:  # somewhere in the place, mostly behind
            x, y = scene.spots[int(rng.integers(0, len(scene.spots)))]
            if np.hypot(x - at[0], y - at[1]) < 0.8:
                continue
        person = make_person(seed, domain, STRANGERS + int(rng.integers(0, 48)))
        reach = np.array([x, y, 0.0]) + _AROUND
        if not _may_be_seen(reach, scene.camera.view, box):
            continue
        other = _act(person, float(x), float(y), rng, variety, 2.0 + len(others))
        if _may_be_seen(other.mesh.vertices, scene.camera.view, box):
            others.append(other)
    return others


def _may_be_seen(points: Floats, view: View, box: Box) -> bool:
    """Whether the hull of ``points`` reaches into ``box``, at a distance that the rasteriser can draw."""
    low, high = bounds(view.project(points))
    apart = low[0] > box[2] or high[0] < box[0] or low[1] > box[3] or high[1] < box[1]
    return bool(not apart and low[2] > 0.7)


def _paint(
    scene: Scene, actors: list[_Actor], view: View, box: Box, height: int, width: int
) -> tuple[Floats, NDArray[np.int32], Floats]:
    """Linear radiance (H x W x 3), who is seen at each pixel (0 nobody, 1 the main person), depth (H x W)."""
    light = scene.camera.light
    ground, share, depth = crop_scene(scene, box, height, width)
    if not actors:
        return ground, np.zeros((height, width), np.int32), depth
    mesh = join([actor.mesh for actor in actors])
    attributes, normals = draw(mesh, view, depth, closed=True)
    owner = np.rint(attributes[..., 2]).astype(np.int32)
    hidden = _shadow(mesh, light.direction, view, depth, light.softness * 0.02 * height)
    # Little of the sky reaches the ground between the feet: a blurred shadow from above, at half the size.
    half = view.cropped((0, 0, width, height), height // 2, width // 2)
    contact = _shadow(mesh, _ABOVE, half, depth[: height // 2 * 2 : 2, : width // 2 * 2 : 2], 0.006 * height, 96)
    contact = cv2.resize(contact, (width, height))
    people = owner > 0
    contact = np.where(people, 0, contact * (0.30 + 0.3 * light.softness))
    ground = ground * ((1 - share * hidden) * (1 - contact))[..., None]
    in_sun = _sun_at(scene, actors[0])
    lit = 1 - np.maximum(hidden, 1 - in_sun)
    person = np.zeros_like(ground)
    left, top, wide, tall = cv2.boundingRect(people.astype(np.uint8))
    part = np.s_[top : top + tall, left : left + wide]
    if wide:
        person[part] = _shade(attributes[part], normals[part], actors, light, lit[part])
    alpha = people.astype(np.float32)
    return _moving(person * alpha[..., None], alpha, ground, scene, actors[0], height), owner, depth


def _shadow(mesh: Mesh, direction: Floats, view: View, depth: Floats, blur: float, size: int = 160) -> Floats:
    low, high = bounds(mesh.vertices)
    reach = 0.62 * float((high - low).max()) + 0.2
    cast = shadow(mesh, direction, view, depth, size=size, bias=0.045, reach=reach, closed=True)
    return cv2.GaussianBlur(cast, (0, 0), max(0.8, blur))


def _shade(attributes: Floats, normals: Floats, actors: list[_Actor], light: Light, lit: Floats) -> Floats:
    """Lambert's law with a bright sky above and a darker ground below."""
    atlas = np.concatenate([_atlas(actor.person) for actor in actors])
    row = {round(float(actor.mesh.attributes[0, 2])): i * ATLAS_HEIGHT for i, actor in enumerate(actors)}
    rows = np.zeros(max(row) + 1, np.float32)
    for tag, offset in row.items():
        rows[tag] = offset
    offsets = rows[np.rint(attributes[..., 2]).astype(np.int32)]
    texture = cv2.remap(atlas, attributes[..., 0] - 0.5, attributes[..., 1] + (offsets - 0.5), cv2.INTER_LINEAR)
    albedo = cv2.LUT(texture, LINEAR)
    facing = np.clip(normals @ light.direction, 0, 1) * lit
    upward = normals[..., 2] * 0.5 + 0.5
    amount = np.dstack([facing, upward, np.ones_like(upward)])
    colours = np.stack([light.sun, light.sky - light.ground, light.ground], axis=1).astype(np.float32)
    return albedo * cv2.transform(amount, colours)


@lru_cache(maxsize=256)
def _atlas(person: Person) -> Picture:
    return draw_atlas(person)


def _moving(person: Floats, alpha: Floats, ground: Floats, scene: Scene, main: _Actor, height: int) -> Floats:
    """People over the ground, smeared along the picture by as much as the main person walks across it."""
    across = main.speed * np.cos(main.heading)
    length = round(abs(across) * scene.camera.response.motion * height / 128)
    if length > 1:
        person = cv2.blur(person, (length, 1))
        alpha = cv2.blur(alpha, (length, 1))
    light: Floats = person + ground * (1 - alpha)[..., None]
    return light


def _sun_at(scene: Scene, actor: _Actor) -> float:
    """How much of the sun reaches where the actor stands: 0 in the shadow of a building, 1 in the open."""
    foot = scene.camera.view.project(actor.world["pelvis"][None] * np.array([1, 1, 0]))[0]
    height, width = scene.depth.shape
    col, row = int(np.clip(foot[0], 0, width - 1)), int(np.clip(foot[1], 0, height - 1))
    light = scene.camera.light
    open_sun = light.sun[1] * light.direction[2]
    full = open_sun / (open_sun + light.sky[1])
    return float(np.clip(scene.picture[row, col, 3] / 255 / max(full, 0.02) * 1.15, 0, 1))


def _keypoints(main: _Actor, view: View, depth: Floats, owner: NDArray[np.int32], mask: NDArray[np.bool_]) -> Floats:
    height, width = depth.shape
    pixels = view.project(coco_points(main.world))
    col, row = np.floor(pixels[:, 0]).astype(np.int32), np.floor(pixels[:, 1]).astype(np.int32)
    inside = (col >= 0) & (col < width) & (row >= 0) & (row < height) & (pixels[:, 2] > 0.1)
    col, row = np.clip(col, 0, width - 1), np.clip(row, 0, height - 1)
    near_mask = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    small_row = np.minimum((row / FINER).astype(np.int32), mask.shape[0] - 1)
    small_col = np.minimum((col / FINER).astype(np.int32), mask.shape[1] - 1)
    not_behind = pixels[:, 2] - depth[row, col] < _DEPTH_OF_JOINT
    nobody_else = owner[row, col] <= 1
    seen = not_behind & nobody_else & near_mask[small_row, small_col]
    visibility = np.where(inside, 1 + seen, 0)
    found = np.stack([pixels[:, 0] / FINER, pixels[:, 1] / FINER, visibility], axis=1)
    found[~inside, :2] = 0
    return found.astype(np.float32)


def _relative_heading(actor: _Actor, camera: Camera) -> float:
    toward = camera.view.position[:2] - actor.world["pelvis"][:2]
    angle = actor.heading - np.arctan2(toward[1], toward[0])
    return float(np.degrees(angle) % 360)
