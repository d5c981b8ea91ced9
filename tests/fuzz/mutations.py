"""Valid files with something wrong: bytes, and JSON values, changed in a few places."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**30, -(2**63), 0.5, 1e308, float("inf"), float("nan")),
    *("", " ", "3", "-4", "abc", "1e400", "../../etc/passwd", "/etc/passwd", "a\nb", "\0", "é" * 300, "x" * 5000),
    *([], {}, [[]], [None], {"": None}, ["x"] * 1000),
)
"""Values that no writer of ours writes where they are put."""
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@st.composite
def mutated_bytes(draw: st.DrawFn, *originals: bytes) -> bytes:
    """One of ``originals`` after up to four edits; sometimes none."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        edit = draw(st.sampled_from(("set", "number", "insert", "remove", "cut", "repeat")))
        # Headers stand at the beginning: half of the edits go there.
        place = draw(st.integers(0, max(0, draw(st.sampled_from((63, len(data)))) - 1))) % max(1, len(data))
        if edit == "set":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
        elif edit == "number":
            size, order = draw(st.sampled_from((1, 2, 4))), draw(st.sampled_from(("little", "big")))
            number = draw(st.sampled_from(_NUMBERS)) % (1 << 8 * size)
            data[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
        elif edit == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=16))
        elif edit == "remove":
            del data[place : place + draw(st.integers(1, 16))]
        elif edit == "cut":
            del data[place:]
        else:
            data[place:place] = data[place : place + 64] * draw(st.integers(1, 8))
    return bytes(data)


@st.composite
def mutated_values(draw: st.DrawFn, *originals: Any) -> Any:
    """One of ``originals`` (JSON values) after up to three edits: a value replaced, a key renamed, removed or added."""
    value = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(value))
        if not places:
            return draw(st.sampled_from(HOSTILE))
        holder, key = draw(st.sampled_from(places))
        edit = draw(st.sampled_from(("replace", "replace", "remove", "add", "rename", "swap")))
        if edit == "replace":
            holder[key] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        elif edit == "remove":
            del holder[key]
        elif edit == "swap":
            other, place = draw(st.sampled_from(places))
            holder[key] = (
                copy.deepcopy(other[place])
                if place in (other if isinstance(other, dict) else range(len(other)))
                else None
            )
        elif isinstance(holder, dict):
            name = draw(st.sampled_from(("", "x", "-1", "path", "../x", "0", "nan")))
            holder[name] = holder.pop(key) if edit == "rename" else draw(st.sampled_from(HOSTILE))
        else:
            holder.append(copy.deepcopy(draw(st.sampled_from(HOSTILE))))
    return value


@st.composite
def mutated_json(draw: st.DrawFn, *originals: Any) -> bytes:
    """Text of one of ``originals`` after edits of its values or of its bytes; sometimes nested as no writer nests."""
    kind = draw(st.sampled_from(("values", "values", "values", "bytes", "both", "depth")))
    if kind == "depth":
        depth = draw(st.sampled_from((10, 900, 20_000, 100_000)))
        opening, closing = draw(st.sampled_from((("[", "]"), ('{"a":', "}"))))
        return (opening * depth + "1" + closing * depth).encode()
    value = draw(st.sampled_from(originals)) if kind == "bytes" else draw(mutated_values(*originals))
    text = json.dumps(value).encode()
    return text if kind == "values" else draw(mutated_bytes(text))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every dictionary or list inside of ``value``, with each of its keys or places."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]
