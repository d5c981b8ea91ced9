"""Models that a failed training of an older version left: finite nowhere, and named as any other."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn


def spoil_file(path: Path) -> Path:
    """Make all weights in a safetensors file NaN, and leave what it says of itself."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    nan = {name: torch.full_like(one, torch.nan) if one.is_floating_point() else one for name, one in state.items()}
    save_file(nan, path, metadata=metadata)
    return path


@torch.no_grad()
def spoiled(network: nn.Module) -> nn.Module:
    """The same network, its weights NaN."""
    for parameter in network.parameters():
        parameter.fill_(torch.nan)
    return network
