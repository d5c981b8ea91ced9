"""Small folders of real encoded images, drawn here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.common import images

Put = Callable[..., Path]


def picture(seed: int, image_format: images.ImageFormat = "jpeg", height: int = 32, width: int = 16) -> bytes:
    """An encoded picture that no other seed gives: soft noise."""
    noise = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    return images.encode(images.resize(noise, height, width), image_format)


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """``put("a/b.jpg")`` writes a picture of its own there, ``put("a/b.txt", data)`` these bytes."""
    count = 0

    def write(path: str, data: bytes | str | None = None) -> Path:
        nonlocal count
        count += 1
        target = tmp_path / "root" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            data = picture(count, "png" if path.lower().endswith(".png") else "jpeg")
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        return target

    return write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"
