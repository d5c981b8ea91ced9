"""What the optimizers of trainings share: which parameters decay, and a learning rate set from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with decay (matrices, kernels) and without (norms, biases)."""
    own = list(parameters)
    return [
        {"params": [one for one in own if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in own if one.ndim <= 1], "weight_decay": 0.0},
    ]


def set_learning_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """The same ``rate`` for all parameters."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
