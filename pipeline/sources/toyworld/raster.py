"""Depth-buffered drawing of meshes with OpenCV's triangle rasteriser, and shadows by a depth map from the light."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.sources.toyworld.arrays import Floats
from pipeline.sources.toyworld.mesh import Mesh, cross

NEAR, FAR = 0.05, 400.0
_UP = np.array([0.0, 0.0, 1.0])


class View(NamedTuple):
    """A pinhole camera onto a picture of any size: ``pixel = K (rotation (point - position))``.

    The camera frame has x to the right, y down, z forwards. Pixel i covers [i, i + 1).
    """

    rotation: Floats
    position: Floats
    focal: tuple[float, float]
    center: tuple[float, float]

    def cropped(self, box: tuple[float, float, float, float], height: int, width: int) -> View:
        """The view of ``box`` (x0, y0, x1, y1, in pixels of this view) resized to ``height`` x ``width``."""
        sx, sy = width / (box[2] - box[0]), height / (box[3] - box[1])
        focal = (self.focal[0] * sx, self.focal[1] * sy)
        center = ((self.center[0] - box[0]) * sx, (self.center[1] - box[1]) * sy)
        return View(self.rotation, self.position, focal, center)

    def to_camera(self, points: Floats) -> Floats:
        """World points (N x 3) in the camera frame."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: Floats) -> Floats:
        """World points (N x 3) to N x 3: pixel x, pixel y, depth in metres."""
        local = self.to_camera(points)
        depth = np.maximum(local[:, 2], 1e-3)
        x = self.focal[0] * local[:, 0] / depth + self.center[0]
        y = self.focal[1] * local[:, 1] / depth + self.center[1]
        return np.stack([x, y, local[:, 2]], axis=1).astype(np.float32)

    def rays(self, height: int, width: int) -> Floats:
        """World direction through each pixel, H x W x 3, of length 1 along the camera's axis."""
        x = (np.arange(width) + 0.5 - self.center[0]) / self.focal[0]
        y = (np.arange(height) + 0.5 - self.center[1]) / self.focal[1]
        columns, rows = np.meshgrid(x, y)
        local = np.dstack([columns, rows, np.ones_like(rows)]).astype(np.float32)
        return local @ self.rotation


def draw(mesh: Mesh, view: View, depth: Floats, *, closed: bool) -> tuple[Floats, Floats]:
    """Draw ``mesh`` into the depth buffer (H x W metres, changed in place).

    ``closed`` says that only the outer side of its surfaces can be seen, which saves half the work.

    Returns:
        H x W x 3 attributes (see `Mesh`) and normals, 0 where nothing was drawn.
    """
    height, width = depth.shape
    local = view.to_camera(mesh.vertices)
    triangles = mesh.triangles
    if local[:, 2].min() < 4 * NEAR:  # the rasteriser does not cut triangles that reach behind the camera
        triangles = triangles[(local[:, 2] > 4 * NEAR)[triangles].all(axis=1)]
    clip = _to_rasteriser(local, view, height, width)
    attributes, normals = np.zeros((2, height, width, 3), np.float32)
    settings = _sides(both=not closed)
    eye, angle = np.eye(4, dtype=np.float32), np.pi / 2
    before = depth.copy()
    cv2.triangleRasterize(clip, triangles, mesh.attributes, attributes, depth, eye, angle, NEAR, FAR, settings)
    cv2.triangleRasterize(clip, triangles, mesh.normals, normals, before, eye, angle, NEAR, FAR, settings)
    return attributes, normals


def shadow(
    mesh: Mesh, light: Floats, view: View, depth: Floats, *, size: int, bias: float, reach: float, closed: bool
) -> Floats:
    """Which pixels of ``depth`` (H x W metres) the ``mesh`` hides from a distant light.

    Args:
        light: unit vector towards the light.
        size: side of the light's depth map in pixels.
        bias: metres by which a surface may lie behind itself.
        reach: metres from the mesh's middle that the map covers to each side.
        closed: as in `draw`.

    Returns:
        H x W float32, 1 in shadow, 0 elsewhere.
    """
    aside = cross(_UP, light)
    aside = aside / np.linalg.norm(aside) if np.linalg.norm(aside) > 1e-3 else np.array([1.0, 0.0, 0.0])
    basis = np.stack([aside, cross(aside, light), -light]).astype(np.float32)
    low, high = bounds(mesh.vertices)
    middle = (low + high) / 2
    away = 60.0
    local = (mesh.vertices - middle) @ basis.T
    focal = size / 2 / reach * away
    from_light = np.full((size, size), FAR, np.float32)
    clip = np.stack([local[:, 0] * focal * 2 / size / away, -local[:, 1] * focal * 2 / size / away], axis=1)
    distance = local[:, 2] + away
    points = np.concatenate([clip * distance[:, None], -distance[:, None]], axis=1).astype(np.float32)
    settings = _sides(both=not closed)
    eye = np.eye(4, dtype=np.float32)
    cv2.triangleRasterizeDepth(points, mesh.triangles, from_light, eye, np.pi / 2, NEAR, FAR, settings)
    a, b, c = _light_coordinates(basis, middle, view, depth)
    scale = size / 2 / reach
    seen = cv2.remap(
        from_light,
        a * scale + (size / 2 - 0.5),
        b * scale + (size / 2 - 0.5),
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FAR,
    )
    return (seen < c + (away - bias)).astype(np.float32)


def _light_coordinates(basis: Floats, middle: Floats, view: View, depth: Floats) -> tuple[Floats, Floats, Floats]:
    """Coordinates in the light's frame of the world point behind each pixel."""
    height, width = depth.shape
    x = ((np.arange(width) + 0.5 - view.center[0]) / view.focal[0]).astype(np.float32)
    y = ((np.arange(height) + 0.5 - view.center[1]) / view.focal[1]).astype(np.float32)
    matrix = basis @ view.rotation.T
    offset = basis @ (view.position - middle)
    a, b, c = (
        depth * (np.float32(m[0]) * x[None] + (np.float32(m[1]) * y + np.float32(m[2]))[:, None]) + np.float32(t)
        for m, t in zip(matrix, offset, strict=True)
    )
    return a, b, c


def _to_rasteriser(local: Floats, view: View, height: int, width: int) -> Floats:
    """Camera-frame points in the rasteriser's frame (y up, z towards the viewer, 90 degrees high)."""
    z = local[:, 2]
    x = view.focal[0] * local[:, 0] + (view.center[0] - width / 2) * z
    y = view.focal[1] * local[:, 1] + (view.center[1] - height / 2) * z
    return np.stack([x * (2 / height), y * (-2 / height), -z], axis=1).astype(np.float32)


def bounds(points: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest coordinates of N x K points (faster than a reduction over the long axis)."""
    columns = [points[:, k] for k in range(points.shape[1])]
    return np.array([c.min() for c in columns]), np.array([c.max() for c in columns])


def _sides(*, both: bool) -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE if both else cv2.RASTERIZE_CULLING_CW)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    return settings
