"""In how many steps a flow may be asked to make an image."""

from __future__ import annotations

from typing import Literal

FlowSteps = Literal[1, 2, 4, 8]
"""All of one length, which is one that the network learned."""
