"""JSON that somebody else may have written: read strictly, and every fault of it is a line.

Python's reader takes a key that is there twice, halves of characters and numbers beyond all bounds, and dies of deep
nesting. What is read here can be written again and printed, and no two readers make two things of it.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from manifests.errors import one_line

T = TypeVar("T")

Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
"""A whole number of 0 or more; no text, no truth value, no fraction stands for one."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]
Digest = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal."""

_SHOWN = 60


def parse_json(data: bytes) -> Any:
    """The value that ``data`` says; null for a number that is not finite, which JSON does not know.

    Raises:
        ValueError: it is no JSON in UTF-8, has a key twice in one object or a whole number of more than 64 bits, or is
            nested more than 200 deep.
    """
    try:
        from_json(data)  # knows the limit of depth, and text from halves of it
        return json.loads(
            data, object_pairs_hook=_distinct, parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded
        )
    except ValueError as error:
        raise ValueError(one_line(error)) from None


def validated(form: TypeAdapter[T], value: Any, *, lenient: bool = False) -> T:
    """``value`` in the shape of ``form``; ``lenient`` about keys that ``form`` does not know.

    Raises:
        ValueError: it is of another shape: where, and what it has there.
    """
    try:
        return form.validate_python(value, extra="ignore" if lenient else "forbid")
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_context=False)
        place = ".".join(map(str, first["loc"])) or "the whole"
        more = f" (and {len(others)} more)" if others else ""
        if first["type"] == "missing":
            raise ValueError(f"{place} is missing{more}") from None
        raise ValueError(f"{place} is {_short(first['input'])}: {one_line(first['msg'])}{more}") from None


def _short(value: Any) -> str:
    text = one_line(repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} is there twice")
    return value


def _bounded(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"{text[:20]}... is no number of 64 bits")
    return int(text)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
