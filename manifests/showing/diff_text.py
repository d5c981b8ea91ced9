"""What `manifests.showing.diff` found, for people."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.common.json_text import lenient_json
from manifests.showing.difference import Difference, Values

_WIDTH = 60


def as_text(difference: Difference) -> str:
    """Counts, a few examples of each difference, and what differs between the runs."""
    return "\n".join([*_of_rows(difference), *_of_runs(difference), "same" if difference.same else "different"])


def _of_rows(difference: Difference) -> Iterator[str]:
    for name, uri, rows in zip("AB", difference.uris, difference.rows, strict=True):
        yield f"{name}: {uri}, {rows} {difference.kind} rows"
    yield f"{difference.both} ids are in both"
    for name, alone in (("A", difference.only_first), ("B", difference.only_second)):
        if alone.rows:
            more = " ..." if alone.rows > len(alone.examples) else ""
            yield f"only in {name}: {alone.rows} rows: {', '.join(alone.examples)}{more}"
    for aspect, changed in difference.changed.items():
        yield f"other {aspect}: {changed.rows} rows"
        for one in changed.examples:
            changes = "; ".join(f"{column} {_change(values)}" for column, values in one.values.items())
            yield f"  {one.key}: {changes}"


def _of_runs(difference: Difference) -> Iterator[str]:
    for key, values in difference.settings.items():
        yield f"setting {key}: {_change(values)}"
    for found in (difference.models, difference.inputs):
        for place, alone in (("A", found.only_first), ("B", found.only_second)):
            for role, name, digest in alone:
                yield f"{role} only in {place}: {name} ({digest[:12]})"
    if difference.classes:
        how = "numbered otherwise" if difference.classes.renumbered else "numbers are the same"
        yield f"classes with a name: {_change(difference.classes.named)}; {how}"
    if difference.rejected:
        yield f"rejected: {_change(difference.rejected)}"
    before, after = difference.environments
    if before != after:
        yield f"environment: {_change((', '.join(before) or None, ', '.join(after) or None))}"
    for library, versions in difference.libraries.items():
        yield f"made with {library}: {_change(versions)}"


def _change(values: Values) -> str:
    before, after = (lenient_json(value, ensure_ascii=False) for value in values)
    return f"{_short(before)} -> {_short(after)}"


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
