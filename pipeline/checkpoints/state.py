"""Reading and writing a model's tensors without running anything that a file holds."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from manifests.common.json_text import json_text
from manifests.common.replacing import replacing
from manifests.errors import UserError, one_line

if TYPE_CHECKING:
    from torch import Tensor


_METADATA = "metadata"
_TEXTS = TypeAdapter(dict[str, str], config=ConfigDict(strict=True))


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of what torch, mmengine or Lightning saved, on the CPU.

    A ``state_dict`` inside is unwrapped. Nothing in the file is executed: torch's weights-only reader is
    used, and what mmengine puts beside the weights (logs, numpy arrays) is read as data or dropped.

    Raises:
        UserError: no such file, damaged, holds other objects than tensors, no tensors, or weights that are not finite.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from None
    state = _load_safetensors(path) if start[8:9] == b"{" else _load_torch(path)
    for _ in range(2):  # `state_dict`, or Lightning's and mmengine's around a model saved as such
        if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
            state = state["state_dict"]
    return _tensors_only(path, state)


def _tensors_only(path: Path, state: Any) -> dict[str, Tensor]:
    import torch

    from pipeline.common.finite import first_not_finite

    if not isinstance(state, Mapping) or not state:
        raise UserError(f"{path} holds no state dict (got {type(state).__name__}, not names with tensors)")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise UserError(f"{path} holds no plain state dict: {key!r} is {type(value).__name__}, not a tensor")
    wrong = first_not_finite(state)
    if wrong is not None:
        raise UserError(f"{path} holds weights that are not finite ({wrong}): whatever wrote it, its training failed")
    return dict(state)


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged: {one_line(error)}") from None


def _load_torch(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(_beside_weights()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|function) (\S+)", str(error))
        if named:
            raise UserError(
                f"{path} holds more than tensors ({named[1].strip('<>')}): refused, nothing of it was run; "
                "save its state dict as safetensors"
            ) from None
        raise UserError(f"{path} is no checkpoint, or damaged") from None
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise UserError(f"{path} is no checkpoint, or damaged: {one_line(error, 200)}") from None


class _Dropped:
    """Stands for an object beside the weights that nobody needs; takes any state and keeps none."""

    def __setstate__(self, state: object) -> None:
        pass


def _drop(*_: object) -> None:
    """Stands for a call beside the weights."""


@lru_cache(maxsize=1)
def _beside_weights() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What may stand beside the weights in an mmengine checkpoint: numpy data; log buffers, as nothing.

    mmengine itself is neither imported nor run; its buffers name their methods through ``getattr``, which
    must not be allowed as it is.
    """
    import numpy as np
    from numpy._core import multiarray

    dtypes = [type(np.dtype(code)) for code in "?bhilqBHILQefdUS"]
    functions = [
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for core in ("core", "_core")
        for function in (multiarray._reconstruct, multiarray.scalar)
    ]
    dropped: list[tuple[Callable[..., Any], str]]
    dropped = [(_Dropped, "mmengine.logging.history_buffer.HistoryBuffer"), (_drop, "builtins.getattr")]
    return [np.ndarray, np.dtype, *dict.fromkeys(dtypes), *functions, *dropped]


def save_state(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors and metadata as safetensors: same content, same bytes; a whole file or none.

    Raises:
        UserError: a tensor is not finite.
    """
    from safetensors.torch import save_file

    from pipeline.common.finite import first_not_finite

    wrong = first_not_finite(tensors)
    if wrong is not None:
        raise UserError(f"{path} is not written: {wrong} is not finite, or too great for the precision of the file")
    path.parent.mkdir(parents=True, exist_ok=True)
    # One entry, since safetensors writes several in an order of chance.
    entry = {_METADATA: json_text(dict(metadata), sort_keys=True)} if metadata else None
    # Copies, since safetensors refuses tensors that share their memory, as tied weights do.
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(own, temporary, metadata=entry)
        temporary.chmod(0o644)  # safetensors makes files for their owner alone; weights are for sharing


def load_metadata(path: Path) -> dict[str, str]:
    """The metadata that `save_state` wrote, empty where there is none. Raises UserError if damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            stored = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the checkpoint {path}: {one_line(error)}") from None
    try:
        return _TEXTS.validate_json(stored.get(_METADATA, "{}"))
    except ValidationError as error:
        raise UserError(f"the metadata of {path} cannot be read: {error.errors()[0]['msg']}") from None


def load_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a safetensors file's tensors, from its header alone. Raises UserError if damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the checkpoint {path}: {one_line(error)}") from None
