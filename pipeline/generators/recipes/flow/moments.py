"""Where on its path a training asks a flow: at what time t, and for a step of what length d."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.generators.networks.flow import SPANS
from pipeline.generators.recipes.flow.settings import PersonFlowSettings

SPAN_OF_STEPS = {8: 1, 4: 2, 2: 3, 1: 4}
"""Number of a step's length (`pipeline.generators.networks.flow.SPANS`) by how many of them there are."""


def length_of(span: Tensor) -> Tensor:
    """d (N,) in {1/8, 1/4, 1/2, 1} by its number from 1 on."""
    return torch.as_tensor(2.0 ** (span - 4))


def draw_moments(
    settings: PersonFlowSettings, rng: np.random.Generator, rows: int, learning: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """t (N,) and the number of d (N,) of each row; the first ``learning`` ones are at the start of some longer step."""
    normal = torch.from_numpy(rng.standard_normal((rows,), dtype=np.float32)).to(device)
    time = torch.sigmoid(settings.time_mean + settings.time_deviation * normal)
    time = torch.where(uniform(rng, (rows,), device) < settings.noise_share, 0.0, time)
    span = torch.zeros(rows, dtype=torch.int64, device=device)
    numbers = rng.integers(1, SPANS, learning)
    lengths = 2.0 ** (numbers - 4)
    starts = np.floor(rng.random(learning) / lengths) * lengths
    span[:learning] = torch.from_numpy(numbers).to(device)
    time[:learning] = torch.from_numpy(starts).to(time)
    return time, span


def uniform(rng: np.random.Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers in [0, 1), float32."""
    return torch.from_numpy(rng.random(shape, dtype=np.float32)).to(device)
