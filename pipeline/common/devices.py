"""The device that networks run on, as a setting."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from manifests.errors import UserError

Device = Annotated[str, StringConstraints(pattern=r"^(cpu|cuda(:\d+)?)$")]
"""``cpu``, ``cuda`` or ``cuda:N``."""


def check_device(device: str) -> None:
    """Refuse a device that this process has not.

    Raises:
        UserError: there is no such GPU.
    """
    if device == "cpu":
        return
    import torch  # seconds, that workers and settings without a network need not wait for

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (torch.device(device).index or 0) >= found:
        has = f"the GPUs here are numbered 0 to {found - 1}" if found else "no CUDA GPU can be used here"
        raise UserError(f"--device {device}: {has}")
