"""Collects the surfaces of a place, with their materials, into meshes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipeline.sources.toyworld.arrays import Floats
from pipeline.sources.toyworld.mesh import COLUMNS, Loft, Mesh, build_lofts, build_quads, join
from pipeline.sources.toyworld.scenery.materials import Material


class Builder:
    """Collects surfaces; materials are numbered from 1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.materials: list[Material] = []
        self.obstacles: list[tuple[float, float, float]] = []
        self.walk = (-8.0, 8.0, 2.0, 12.0)
        self.reach = 24.0
        self._ground: list[tuple[Floats, Floats, int]] = []
        self._quads: list[tuple[Floats, Floats, int]] = []
        self._lofts: list[Loft] = []

    def material(self, material: Material) -> int:
        """The number of a new material."""
        self.materials.append(material)
        return len(self.materials)

    def meshes(self) -> tuple[Mesh, Mesh]:
        """The ground, which casts no shadow, and everything else."""
        things = [_quad_mesh(self._quads)] if self._quads else []
        if self._lofts:
            things.append(build_lofts(self._lofts))
        return _quad_mesh(self._ground), join(things)

    def ground(self, number: int, x0: float, x1: float, y0: float, y1: float, z: float = 0.0) -> None:
        """A horizontal rectangle, cut fine near the camera, where triangles must not reach behind it."""
        xs = np.unique(np.r_[np.arange(max(x0, -6), min(x1, 6), 0.75), x0, x1])
        ys = np.unique(np.r_[np.arange(max(y0, -4), min(y1, 8), 0.75), np.arange(8, y1, 8.0), y0, y1])
        ys = ys[(ys >= y0) & (ys <= y1)]
        for ya, yb in pairwise(ys):
            for xa, xb in pairwise(xs):
                corners = np.array([(xa, ya, z), (xb, ya, z), (xb, yb, z), (xa, yb, z)])
                self._ground.append((corners, corners[:, :2], number))

    def wall(self, number: int, start: tuple[float, float], end: tuple[float, float], low: float, high: float) -> None:
        """An upright rectangle over the line from ``start`` to ``end``; v is 0 at the top."""
        a, b = np.array(start), np.array(end)
        length = float(np.linalg.norm(b - a))
        cuts = np.linspace(0, 1, max(2, int(length / 1.5) + 1))
        for s, t in pairwise(cuts):
            p, q = a + (b - a) * s, a + (b - a) * t
            corners = np.array([(*p, high), (*q, high), (*q, low), (*p, low)])
            texture = np.array([(s * length, 0), (t * length, 0), (t * length, high - low), (s * length, high - low)])
            self._quads.append((corners, texture, number))

    def box(
        self, number: int, x: float, y: float, size: tuple[float, float, float], z: float = 0.0, turn: float = 0.0
    ) -> None:
        """A box (width, depth, height) standing at (x, y, z)."""
        wide, deep, tall = size
        c, s = np.cos(turn), np.sin(turn)
        flat = np.array([(-wide, -deep), (wide, -deep), (wide, deep), (-wide, deep)]) / 2 @ np.array([(c, s), (-s, c)])
        points = [(x + float(p), y + float(q)) for p, q in flat]
        for first, second in ((0, 1), (1, 2), (2, 3), (3, 0)):
            self.wall(number, points[first], points[second], z, z + tall)
        corners = np.array([(px, py, z + tall) for px, py in points])
        self._quads.append((corners, corners[:, :2], number))

    def block(self, x: float, y: float, radius: float) -> None:
        """Nobody walks within ``radius`` of (x, y)."""
        self.obstacles.append((x, y, radius))

    def round(
        self, number: int, x: float, y: float, heights: Floats, radii: Floats, *, lumpy: float = 0.0, deep: float = 1.0,
        lean: tuple[float, float] = (0.0, 0.0), power: float = 2.0,
    ) -> None:  # fmt: skip
        """An upright body of revolution: poles, trunks, bushes, table tops."""
        heights, radii = np.asarray(heights, np.float64), np.asarray(radii, np.float64)
        rise = (heights - heights[0])[:, None] * np.array([[lean[0], lean[1], 0.0]])
        centers = np.array([x, y, 0.0]) + np.outer(heights, [0, 0, 1.0]) + rise
        count = len(heights)
        left, forward = np.tile([-1.0, 0, 0], (count, 1)), np.tile([0, -1.0, 0], (count, 1))
        bump = None
        if lumpy:
            bump = 1 + lumpy * self.rng.normal(size=(count, COLUMNS + 1))
            bump[:, -1] = bump[:, 0]
        around = 2 * np.pi * float(radii.max())
        tall = float(heights[-1] - heights[0])
        v = (heights[-1] - heights) / max(tall, 1e-6)
        self._lofts.append(
            Loft(
                centers, left, forward, radii, radii * deep, radii * deep, v, (0, 0, around, tall), power, bump, number
            )
        )

    def along(
        self, number: int, start: Floats, end: Floats, width: float, height: float, profile: Floats | None = None
    ) -> None:
        """A horizontal bar or hull from ``start`` to ``end``; ``profile`` M x 3 is position, width, height factor."""
        table = np.array([(0, 1, 1), (1, 1, 1)], np.float64) if profile is None else profile
        direction = (end - start) / np.linalg.norm(end - start)
        centers = start + np.outer(table[:, 0], end - start)
        up = np.array([0.0, 0.0, 1.0])
        side = np.cross(up, direction)
        count = len(table)
        left, forward = np.tile(side, (count, 1)), np.tile(np.cross(side, direction), (count, 1))
        length = float(np.linalg.norm(end - start))
        self._lofts.append(
            Loft(
                centers,
                left,
                forward,
                table[:, 1] * width,
                table[:, 2] * height,
                table[:, 2] * height,
                table[:, 0],
                (0, 0, 1, length),
                3.0,
                None,
                number,
            )
        )


def _quad_mesh(quads: list[tuple[Floats, Floats, int]]) -> Mesh:
    corners, texture, numbers = zip(*quads, strict=True)
    return build_quads(np.array(corners), np.array(texture), np.array(numbers, np.float64))
