"""Surfaces: stacks of rings (lofts) and flat quads, both turned into one triangle mesh.

Everything round in the world - limbs, heads, skirts, bags, cars, bushes - is a loft: closed rings about a
path. The rings of many lofts are evaluated in one vectorised step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrays import Floats

COLUMNS = 16
_ANGLES = np.linspace(0.0, 2 * np.pi, COLUMNS + 1, dtype=np.float32)
_SIN, _COS = np.sin(_ANGLES), np.cos(_ANGLES)
_COLUMN_U = np.linspace(0.0, 1.0, COLUMNS + 1, dtype=np.float32)
_NEXT_COLUMN = np.r_[np.arange(1, COLUMNS + 1), 1]
_PREVIOUS_COLUMN = np.r_[COLUMNS - 1, np.arange(COLUMNS)]


class Mesh(NamedTuple):
    """Triangles with a texture coordinate and a normal at each vertex."""

    vertices: Floats
    """V x 3, metres."""
    normals: Floats
    """V x 3, unit length, outwards."""
    attributes: Floats
    """V x 3: texture u, texture v (pixels of the texture), and a number that names owner or material."""
    triangles: NDArray[np.int32]
    """T x 3 vertex indices."""


@dataclass
class Loft:
    """R rings along a path. ``left``, ``forward`` and the path direction form a right-handed frame.

    Column angle 0 is at the back (-forward), a quarter turn is on the right (-left), half a turn in front.
    """

    centers: Floats
    left: Floats
    forward: Floats
    width: Floats
    front: Floats
    back: Floats
    v: Floats
    tile: tuple[float, float, float, float]
    power: float = 2.0
    bump: Floats | None = None
    tag: float = 0.0


def frames_along(path: Floats, left_reference: Floats) -> tuple[Floats, Floats]:
    """Unit ``(left, forward)`` axes of rings perpendicular to ``path`` (R x 3), left as near as possible to the
    reference (3 or R x 3)."""
    direction = np.empty_like(path)
    direction[1:-1] = path[2:] - path[:-2]
    direction[0], direction[-1] = path[1] - path[0], path[-1] - path[-2]
    direction = normalized(direction)
    left = normalized(left_reference - dot(left_reference, direction) * direction)
    return left, cross(left, direction)


def tube(
    path: Floats,
    left_reference: Floats,
    width: Floats,
    depth: Floats,
    v: Floats,
    tile: tuple[float, float, float, float],
    *,
    back: Floats | None = None,
    power: float = 2.0,
    bump: Floats | None = None,
) -> Loft:
    """A loft whose rings stand perpendicular to ``path``."""
    path = np.asarray(path, np.float32)
    left, forward = frames_along(path, left_reference)
    behind = depth if back is None else back
    return Loft(path, left, forward, width, depth, behind, v, tile, power, bump)


def build_lofts(lofts: list[Loft]) -> Mesh:
    """Evaluate all lofts at once. A ``bump`` (R x 17) scales the radius of each vertex."""
    counts = np.array([len(loft.centers) for loft in lofts])
    last = np.cumsum(counts) - 1
    centers = np.concatenate([loft.centers for loft in lofts])
    left = np.concatenate([loft.left for loft in lofts])
    forward = np.concatenate([loft.forward for loft in lofts])
    width, front, back, v = (
        np.concatenate([np.asarray(getattr(loft, name), np.float32) for loft in lofts])
        for name in ("width", "front", "back", "v")
    )
    exponent = np.repeat([2.0 / loft.power for loft in lofts], counts).astype(np.float32)[:, None]
    across = np.sign(_SIN) * np.abs(_SIN) ** exponent
    along = np.sign(_COS) * np.abs(_COS) ** exponent
    depth = np.where(_COS > 0, back[:, None], front[:, None])
    scale = np.ones((len(centers), COLUMNS + 1), np.float32)
    for loft, end in zip(lofts, last, strict=True):
        if loft.bump is not None:
            scale[end + 1 - len(loft.centers) : end + 1] = loft.bump
    sideways, ahead = (width[:, None] * across * scale), (depth * along * scale)
    points = centers[:, None] - sideways[..., None] * left[:, None] - ahead[..., None] * forward[:, None]
    rings = np.arange(len(centers))
    first_ring = np.repeat(last + 1 - counts, counts)
    last_ring = np.repeat(last, counts)
    along_ring = points[:, _NEXT_COLUMN] - points[:, _PREVIOUS_COLUMN]
    along_path = points[np.minimum(rings + 1, last_ring)] - points[np.maximum(rings - 1, first_ring)]
    normals = cross(along_ring, along_path)
    normals = normalized(normals)
    tiles = np.repeat(np.array([loft.tile for loft in lofts], np.float32), counts, axis=0)
    attributes = np.empty((*points.shape[:2], 3), np.float32)
    attributes[..., 0] = tiles[:, :1] + (tiles[:, 2:3] - tiles[:, :1]) * _COLUMN_U
    attributes[..., 1] = (tiles[:, 1] + (tiles[:, 3] - tiles[:, 1]) * v)[:, None]
    attributes[..., 2] = np.repeat([loft.tag for loft in lofts], counts)[:, None]
    return Mesh(
        points.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        attributes.reshape(-1, 3),
        _ring_triangles(rings[rings != last_ring]),
    )


def build_quads(corners: Floats, texture: Floats, tags: Floats) -> Mesh:
    """Flat quads. ``corners`` Q x 4 x 3 in order around the edge, ``texture`` Q x 4 x 2, ``tags`` Q."""
    normals = cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    normals = normalized(normals)
    attributes = np.concatenate([texture, np.repeat(tags, 4).reshape(-1, 4, 1)], axis=2)
    first = 4 * np.arange(len(corners))[:, None]
    triangles = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32),
        np.repeat(normals, 4, axis=0).astype(np.float32),
        attributes.reshape(-1, 3).astype(np.float32),
        triangles.astype(np.int32),
    )


def join(meshes: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    triangles = [mesh.triangles + offset for mesh, offset in zip(meshes, offsets, strict=True)]
    vertices, normals, attributes = (np.concatenate([mesh[field] for mesh in meshes]) for field in range(3))
    return Mesh(vertices, normals, attributes, np.concatenate(triangles).astype(np.int32))


def dot(a: Floats, b: Floats) -> Floats:
    """Scalar product over the last axis, which is kept with length 1."""
    product: Floats = a * b
    return product[..., 0:1] + product[..., 1:2] + product[..., 2:3]


def normalized(a: Floats) -> Floats:
    """Vectors (over the last axis) of unit length."""
    unit: Floats = a / np.sqrt(dot(a, a) + 1e-20)
    return unit


def cross(a: Floats, b: Floats) -> Floats:
    """Cross product over the last axis (`numpy.cross` is several times slower on small arrays)."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _ring_triangles(rings: NDArray[np.int64]) -> NDArray[np.int32]:
    """Two triangles for each cell between ring r (of ``rings``) and ring r + 1."""
    step = COLUMNS + 1
    corner = (rings[:, None] * step + np.arange(COLUMNS)[None]).reshape(-1)
    lower = np.stack([corner, corner + 1, corner + step], axis=1)
    upper = np.stack([corner + 1, corner + step + 1, corner + step], axis=1)
    return np.concatenate([lower, upper]).astype(np.int32)
