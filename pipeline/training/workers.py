"""Several workers that train one model: each takes its share of every batch, gradients are averaged.

What DistributedDataParallel does, for networks that a step calls in any order and as often as it likes. All
workers begin with equal weights (equal seeds) and stay equal, since they apply equal gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from manifests.errors import UserError

_AGREE_EVERY = 10


@dataclass(frozen=True)
class Workers:
    """Which worker this process is, of how many; more than one need an initialised ``torch.distributed``."""

    rank: int = 0
    count: int = 1

    def check(self, batch_size: int) -> None:
        """Raises UserError where ``batch_size`` cannot be shared evenly: the mean of means would not be the mean."""
        if batch_size % self.count:
            raise UserError(
                f"--batch-size {batch_size} cannot be shared by {self.count} workers; take a multiple of it"
            )

    def share(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """This worker's rows of a whole batch: every `count`-th, so that each sees all kinds of rows there are."""
        return {name: column[self.rank :: self.count] for name, column in columns.items()}

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the workers; one message for all."""
        self._average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def average_buffers(self, network: nn.Module) -> None:
        """The same for running statistics, which each worker has from its own rows."""
        self._average([buffer for buffer in network.buffers() if buffer.is_floating_point()])

    def all_true(self, flags: Tensor) -> Tensor:
        """``flags`` (N,) bool: each true where it is so for every worker."""
        if self.count == 1:
            return flags
        shared = flags.to(torch.uint8)
        dist.all_reduce(shared, dist.ReduceOp.MIN)
        return shared.bool()

    def agree(self, signum: int | None, step: int) -> int | None:
        """The signal that any of the workers got, the same answer for all: each has to stop after the same ``step``.

        Several workers ask one another at every tenth step: each time the device has to be waited for.
        """
        if self.count == 1:
            return signum
        if step % _AGREE_EVERY:
            return None
        heard = torch.tensor(signum or 0, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(heard, dist.ReduceOp.MAX)
        return int(heard) or None

    def gather(self, value: Any) -> list[Any]:
        """The ``value`` of every worker, in order of rank, on every worker."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def gather_rows(self, rows: Tensor) -> Tensor:
        """The rows (N, D) of all workers one below the other, for a loss over the whole batch.

        Only this worker's carry a gradient, and it counts as often as there are workers: what `average_gradients`
        then gives is the gradient of that loss. All have as many rows.
        """
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        dist.all_gather(parts, rows.detach().contiguous())
        if rows.requires_grad:
            parts[self.rank] = rows * self.count - rows.detach() * (self.count - 1)
        return torch.cat(parts)

    def _average(self, tensors: list[Tensor]) -> None:
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))


ALONE = Workers()
