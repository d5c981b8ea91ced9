"""What a synthesis may choose of how a generator makes its images."""

from __future__ import annotations

from typing import Literal

FlowSteps = Literal[1, 2, 4, 8]
"""In how many steps a flow makes an image: all of one length, which is one that the network learned."""
Background = Literal["asked", "own"]
"""Where people stand whom another camera shows: before a background that is its own, or where they are."""
