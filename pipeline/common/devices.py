"""The device that networks run on, and the threads of a processor, as settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from manifests.errors import UserError
from pipeline.common.settings import Run

if TYPE_CHECKING:
    from torch import nn

# torch is imported by who uses it here: it takes seconds, for which what runs no network need not wait.

Device = Run[Annotated[str, StringConstraints(pattern=r"^(cpu|cuda(:\d+)?)$")]]
"""``cpu``, ``cuda`` or ``cuda:N``."""
Threads = Run[Annotated[int | None, Field(ge=1, description="CPU threads; by default one for each core")]]


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many ``threads``; None leaves it at one for each core."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


@contextmanager
def threads_kept() -> Iterator[None]:
    """Afterwards torch computes with as many threads as before, whatever the work inside asked for."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Networks built inside have shapes, and neither memory nor first weights.

    They are on "meta", where PyTorch imports its compiler to draw from a normal distribution (that is how an embedding
    begins): 1.7 s of CPU in each process, so what should be drawn is left as it is.
    """
    import torch
    from torch import nn
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __torch_function__(
            self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            named = kwargs or {}
            return named["tensor"] if function is nn.init.normal_ else function(*args, **named)

    with torch.device("meta"), Undrawn():
        yield


def device_of(network: nn.Module) -> str:
    """Where the weights of ``network`` lie, as a `Device`."""
    return str(next(network.parameters()).device)


def check_device(device: str) -> None:
    """Refuse a device that this process has not.

    Raises:
        UserError: there is no such GPU.
    """
    if device == "cpu":
        return
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (torch.device(device).index or 0) >= found:
        has = f"the GPUs here are numbered 0 to {found - 1}" if found else "no CUDA GPU can be used here"
        raise UserError(f"--device {device}: {has}")
