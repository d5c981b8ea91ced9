"""What a camera makes of the light that falls into it: colours, blur, noise and compression."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.sources.toyworld.arrays import Floats, Picture
from pipeline.sources.toyworld.cameras import Response

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def develop(radiance: Floats, response: Response, rng: np.random.Generator, sharpness: float) -> bytes:
    """The JPEG file that a camera with ``response`` stores.

    Args:
        radiance: H x W x 3 linear RGB, 1 is a white surface in full light.
        sharpness: pixels of the camera's own picture for each pixel of the result; below 1 the crop was
            enlarged and is soft.
    """
    scale = radiance.shape[0] / 128
    softness = np.hypot(response.blur * scale * rng.uniform(0.8, 1.25), 0.45 * max(1 / sharpness - 0.7, 0))
    light = cv2.transform(radiance, _colour_matrix(response, rng.normal(1.0, 0.05)))
    if softness > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), float(softness))
    light = np.maximum(light * (1 - response.haze) + response.haze * response.haze_color, 0)
    tone = cv2.pow(light, 1 / response.gamma)
    tone = (tone - 0.5) * response.contrast + 0.5
    bright = tone > 0.8
    tone[bright] = 0.8 + 0.2 * np.tanh((tone[bright] - 0.8) / 0.2)  # shoulder: highlights roll off
    grain = rng.standard_normal(radiance.shape, np.float32) * np.float32(response.noise)
    picture = np.clip(tone * 255 + grain, 0, 255).astype(np.uint8)
    ok, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, response.quality])
    if not ok:  # pragma: no cover - OpenCV refuses only pictures without pixels
        raise ValueError(f"cannot encode a picture of shape {picture.shape}")
    return encoded.tobytes()


def decode(jpeg: bytes) -> Picture:
    """H x W x 3 RGB uint8."""
    picture: Picture | None = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise ValueError(f"{len(jpeg)} bytes that are no picture")
    return picture


def _colour_matrix(response: Response, gain: float) -> Floats:
    """Exposure, colour mixing and saturation in one 3 x 3 matrix."""
    keep = response.saturation
    saturate = keep * np.eye(3) + (1 - keep) * np.tile(_LUMA, (3, 1))
    return (response.exposure * max(gain, 0.7) * saturate @ response.matrix).astype(np.float32)
