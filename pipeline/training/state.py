"""The kept states of a training: everything that the next step depends on, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from manifests.common.replacing import replacing
from manifests.errors import UserError, one_line
from pipeline.common.finite import first_not_finite


class Kept(Protocol):
    """Where a training keeps its states."""

    @property
    def output(self) -> Path:
        """The folder of the training, as its user named it."""

    def newest(self) -> Path | None:
        """The file of the newest state, if there is one."""

    def load(self, device: torch.device | str) -> dict[str, Any] | None:
        """The newest state and its ``step``, or None; only tensors and plain values are read.

        Raises:
            UserError: it cannot be read, holds what is not finite (older versions kept such states), or is another
                run's.
        """

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Keep the ``state`` after ``step`` steps."""


@dataclass(frozen=True)
class Checkpoints:
    """``step_<step>.pt``, the newest ``keep`` of them, with what the run was started with (``identity``)."""

    output: Path
    identity: Mapping[str, Any]
    inside: str = "checkpoints"
    """Their folder in ``output``."""
    key: str = "identity"
    """The name of ``identity`` in the files."""
    keep: int = 2
    before: Mapping[str, Any] = field(default_factory=dict)
    """What a run was whose identity does not say: things that have only since become settings."""

    def newest(self) -> Path | None:
        """As `Kept.newest`."""
        return next(reversed(self._files()), None)

    def load(self, device: torch.device | str) -> dict[str, Any] | None:
        """As `Kept.load`."""
        path = self.newest()
        if path is None:
            return None
        state = _read(path, device)
        wrong = first_not_finite(state)
        if wrong is not None:
            raise UserError(f"the checkpoint {path} is not finite ({wrong}): remove it to go on from the one before")
        check_same_run({**self.before, **state[self.key]}, self.identity, self.output)
        return state

    def started_with(self) -> dict[str, Any] | None:
        """The identity that the newest state was kept with; None where none is.

        Raises:
            UserError: it cannot be read.
        """
        path = self.newest()
        return None if path is None else {**self.before, **_read(path, "meta")[self.key]}

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """As `Kept.save`."""
        folder = self.output / self.inside
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"step_{step:09d}.pt", {"step": step, self.key: dict(self.identity), **state})
        for old in self._files()[: -self.keep]:
            old.unlink()

    def _files(self) -> list[Path]:
        return sorted((self.output / self.inside).glob("step_*.pt"))


@dataclass(frozen=True)
class StateFile:
    """One file, replaced each time."""

    path: Path

    @property
    def output(self) -> Path:
        """As `Kept.output`."""
        return self.path.parent

    def newest(self) -> Path | None:
        """As `Kept.newest`."""
        return self.path if self.path.is_file() else None

    def load(self, device: torch.device | str) -> dict[str, Any] | None:
        """As `Kept.load`."""
        if self.newest() is None:
            return None
        state = _read(self.path, device)
        wrong = first_not_finite(state)
        if wrong is not None:
            raise UserError(f"the state {self.path} is not finite ({wrong}): remove it to begin anew")
        return state

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """As `Kept.save`."""
        _write(self.path, {"step": step, **state})


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


def _read(path: Path, device: torch.device | str) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged zip, pickle or tensor: torch raises many types
        raise UserError(f"cannot read the checkpoint {path}: {one_line(error, 200)}; remove it to go on") from None
    return state


def _write(path: Path, state: dict[str, Any]) -> None:
    # A stream, since torch writes the name of a path into the file.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)
