"""Arrays to a device and back while it computes: through pinned memory, so that nobody waits for the bus.

PyTorch keeps pinned memory for the next array of that size: with one batch on its way in and one on its way out it is
two buffers a direction.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def upload(array: NDArray[Any] | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """``array`` on ``device``, or on its way there; on a processor its own memory."""
    tensor = torch.as_tensor(array)
    if torch.device(device).type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Download:
    """A tensor on its way to the processor, behind the work that makes it."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._arrived = tensor.detach(), None
        if tensor.is_cuda:
            self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._tensor.copy_(tensor.detach(), non_blocking=True)
            self._arrived = torch.cuda.Event(blocking=True)  # whoever waits for it leaves the core to others
            self._arrived.record()

    def array(self) -> NDArray[Any]:
        """The values, waited for."""
        if self._arrived is not None:
            self._arrived.synchronize()
        values: NDArray[Any] = self._tensor.numpy()
        return values
