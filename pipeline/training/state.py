"""Checkpoints of a training run: everything that the next step depends on, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from manifests.common.replacing import replacing
from manifests.errors import UserError, one_line
from pipeline.common.finite import first_not_finite


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any], keep: int = 2) -> Path:
    """Write ``folder/step_<step>.pt`` and remove all but the newest ``keep``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:09d}.pt"
    # A stream, since torch writes the name of a path into the file.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save({"step": step, **state}, file)
    for old in _checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def load_checkpoint(folder: Path, device: torch.device | str) -> dict[str, Any] | None:
    """The newest checkpoint under ``folder``, or None; only tensors and plain values are read.

    Raises:
        UserError: it cannot be read, or holds what is not finite (older versions kept such states).
    """
    found = _checkpoints(folder)
    if not found:
        return None
    try:
        state: dict[str, Any] = torch.load(found[-1], map_location=device, weights_only=True)
    except Exception as error:  # a damaged zip, pickle or tensor: torch raises many types
        raise UserError(f"cannot read the checkpoint {found[-1]}: {one_line(error, 200)}; remove it to go on") from None
    wrong = first_not_finite(state)
    if wrong is not None:
        raise UserError(f"the checkpoint {found[-1]} is not finite ({wrong}): remove it to go on from the one before")
    return state


def check_same_run(saved: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with a run that was started otherwise.

    Raises:
        UserError: a setting or the data differ; names the first that does.
    """
    for name in sorted({*saved, *now}):
        if saved.get(name) != now.get(name):
            raise UserError(
                f"the training in {folder} was started with {name}={saved.get(name)}, now it is {now.get(name)}; "
                "use the same settings to go on, or another --output"
            )


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*.pt"))
