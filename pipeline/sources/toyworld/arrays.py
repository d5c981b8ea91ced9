"""Names for the two kinds of arrays here. OpenCV's stubs know no element types, so neither do these."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]
"""float32, or float64 where small vectors are computed"""
Picture: TypeAlias = NDArray[Any]
"""H x W x 3 uint8, RGB, sRGB unless said otherwise"""
