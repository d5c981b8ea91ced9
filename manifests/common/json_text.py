"""JSON as we write it: what the standard knows, and so no NaN and no infinity, which other readers refuse."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.common.replacing import write_whole
from manifests.errors import UserError


def json_text(value: Any, **options: Any) -> str:
    """``value`` as `json.dumps` writes it with ``options``.

    Raises:
        UserError: a number in it is not finite; names its place.
    """
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        raise UserError(f"nothing was written: {_not_finite(value)} is not a finite number") from None


def lenient_json(value: Any, **options: Any) -> str:
    """The same of what somebody else may have written: a number that is not finite becomes null."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_without(value), allow_nan=False, **options)


def write_json(path: Path, value: Any, *, indent: int = 2, sort_keys: bool = False) -> Path:
    """Write ``value`` to ``path``, which appears whole or not at all and is returned; raises as `json_text`."""
    write_whole(path, (json_text(value, indent=indent, sort_keys=sort_keys) + "\n").encode())
    return path


def _not_finite(value: Any, place: str = "") -> str | None:
    """Place of the first number in ``value`` that is not finite, as ``name.0.name``."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place or "the value"
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = (_not_finite(inner, f"{place}.{name}" if place else str(name)) for name, inner in items)
    return next((one for one in found if one is not None), None)


def _without(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without(inner) for name, inner in value.items()}
    return [_without(inner) for inner in value] if isinstance(value, list | tuple) else value
