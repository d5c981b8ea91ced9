"""Surfaces: stacks of rings (lofts) and flat quads, both turned into one triangle mesh.

Everything round in the world - limbs, heads, skirts, bags, cars, bushes - is a loft: closed rings about a
path. The rings of many lofts are evaluated in one vectorised step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.toyworld.arrays import Floats

COLUMNS = 12
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

    Without ``forward``, rings stand perpendicular to the path and ``left`` (3 or R x 3) is where their left axis
    is to lie as nearly as it can.

    Column angle 0 is at the back (-forward), a quarter turn is on the right (-left), half a turn in front.
    """

    centers: Floats
    left: Floats
    forward: Floats | None
    width: Floats
    front: Floats
    back: Floats
    v: Floats
    tile: tuple[float, float, float, float]
    power: float = 2.0
    bump: Floats | None = None
    tag: float = 0.0


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
    return Loft(path, left_reference, None, width, depth, depth if back is None else back, v, tile, power, bump)


def build_lofts(lofts: list[Loft]) -> Mesh:
    """Evaluate all lofts at once. A ``bump`` (R x (COLUMNS + 1)) scales the radius of each vertex."""
    counts = np.array([len(loft.centers) for loft in lofts])
    last = np.cumsum(counts) - 1
    rings = np.arange(counts.sum())
    before = np.maximum(rings - 1, np.repeat(last + 1 - counts, counts))
    after = np.minimum(rings + 1, np.repeat(last, counts))
    centers = np.concatenate([loft.centers for loft in lofts])
    left, forward = _ring_axes(lofts, centers[after] - centers[before])
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
    along_ring = points[:, _NEXT_COLUMN] - points[:, _PREVIOUS_COLUMN]
    along_path = points[after] - points[before]
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
        _ring_triangles(rings[after != rings]),
    )


def _ring_axes(lofts: list[Loft], direction: Floats) -> tuple[Floats, Floats]:
    """Left and forward axes of all rings, perpendicular to the path where the loft does not say otherwise."""
    direction = normalized(direction)
    wanted = np.concatenate([np.broadcast_to(loft.left, loft.centers.shape) for loft in lofts])
    left = normalized(wanted - dot(wanted, direction) * direction)
    forward = cross(left, direction)
    end = 0
    for loft in lofts:
        start, end = end, end + len(loft.centers)
        if loft.forward is not None:
            left[start:end], forward[start:end] = loft.left, loft.forward
    return left, forward


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
    product = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
    product[..., 0] = ay * bz - az * by
    product[..., 1] = az * bx - ax * bz
    product[..., 2] = ax * by - ay * bx
    return product


def _ring_triangles(rings: NDArray[np.int64]) -> NDArray[np.int32]:
    """Two triangles for each cell between ring r (of ``rings``) and ring r + 1."""
    step = COLUMNS + 1
    corner = (rings[:, None] * step + np.arange(COLUMNS)[None]).reshape(-1)
    lower = np.stack([corner, corner + 1, corner + step], axis=1)
    upper = np.stack([corner + 1, corner + step + 1, corner + step], axis=1)
    return np.concatenate([lower, upper]).astype(np.int32)
