"""What is not finite: the error that says so, and the search for it in whatever holds tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from manifests.errors import UserError


class NotFiniteError(UserError):
    """NaN or an infinity where a result would depend on it."""


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Puts ``what`` (a data set, a file) before the message of a `NotFiniteError` that comes from inside."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(f"{what}: {error}") from None


def first_not_finite(state: Any, name: str = "") -> str | None:
    """Name of the first tensor within ``state`` (mappings, sequences, tensors) that is not finite as float32."""
    if isinstance(state, Tensor):
        # As float32, for that is how weights are used; float64 and float8 come so too.
        real = state.is_floating_point() or state.is_complex()
        return name if real and not bool(_as_used(state).isfinite().all()) else None
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(state, Mapping):
        inner = state.items()
    elif isinstance(state, Sequence) and not isinstance(state, str | bytes):
        inner = enumerate(state)
    found = (first_not_finite(value, f"{name}.{key}" if name else str(key)) for key, value in inner)
    return next((one for one in found if one is not None), None)


def _as_used(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.to(torch.complex64)) if tensor.is_complex() else tensor.float()
