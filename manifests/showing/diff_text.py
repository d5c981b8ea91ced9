"""What `manifests.showing.diff` found, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manifests.common.json_text import lenient_json

_WIDTH = 60


def as_text(difference: Mapping[str, Any]) -> str:
    """Counts, a few examples of each difference, and what differs between the runs."""
    return "\n".join([*_rows(difference), *_runs(difference), "same" if difference["same"] else "different"])


def _rows(difference: Mapping[str, Any]) -> Iterator[str]:
    examples = difference["examples"]
    for name, uri, rows in zip("AB", difference["uris"], difference["rows"], strict=True):
        yield f"{name}: {uri}, {rows} {difference['kind']} rows"
    yield f"{difference['both']} ids are in both"
    for key, name in (("only_first", "A"), ("only_second", "B")):
        if difference[key]:
            yield f"only in {name}: {difference[key]} rows: {_some(examples[key], difference[key])}"
    for aspect, count in difference["changed"].items():
        yield f"other {aspect}: {count} rows"
        for one in examples[aspect]:
            changes = "; ".join(f"{column} {_change(values)}" for column, values in one["values"].items())
            yield f"  {one['key']}: {changes}"


def _runs(difference: Mapping[str, Any]) -> Iterator[str]:
    for key, values in difference["settings"].items():
        yield f"setting {key}: {_change(values)}"
    for kind in ("models", "inputs"):
        for key, name in (("only_first", "A"), ("only_second", "B")):
            for role, called, digest in difference[kind].get(key, ()):
                yield f"{role} only in {name}: {called} ({digest[:12]})"
    if difference["classes"]:
        how = "numbered otherwise" if difference["classes"]["renumbered"] else "numbers are the same"
        yield f"classes with a name: {_change(difference['classes']['named'])}; {how}"
    if difference["rejected"]:
        yield f"rejected: {_change(difference['rejected'])}"
    if difference["environments"][0] != difference["environments"][1]:
        yield f"environment: {_change([', '.join(found) or None for found in difference['environments']])}"


def _some(keys: list[str], count: int) -> str:
    return ", ".join(keys) + (" ..." if count > len(keys) else "")


def _change(values: list[Any]) -> str:
    before, after = (lenient_json(value, ensure_ascii=False) for value in values)
    return f"{_short(before)} -> {_short(after)}"


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
