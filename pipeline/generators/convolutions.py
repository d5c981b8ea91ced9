"""The names of how a generator computes its convolutions: in which layout, of how many images, by which arithmetic."""

from __future__ import annotations

from typing import Literal

Convolutions = Literal["auto", "channels_last", "planar", "winograd"]
"""``channels_last``: whole batches; ``planar``: an image at a time; ``winograd``: as planar, residual blocks by
`pipeline.generators.networks.trunk`."""
WAYS: tuple[Convolutions, ...] = ("channels_last", "planar", "winograd")
"""All that a generator can be; ``auto`` becomes one of them."""
