"""The fields of a settings model as options of a command line: flag, group, what help says of them, text to value."""

from __future__ import annotations

import csv
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import get_annotations
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.common.settings.model import ADVANCED, FOUND, NEEDED, POSITIONAL, Group, JobSettings

_FIRST, _LAST = ("input", "output"), ("run", "cluster")
_NUMBERS = {int: "N", float: "X", Path: "PATH"}


@dataclass(frozen=True)
class Option:
    """One field of a settings model."""

    name: str
    field: FieldInfo
    group: str
    advanced: bool
    positional: bool
    depth: int
    """How far up the model's bases it is declared: 0 in ``model`` itself."""

    @property
    def key(self) -> str:
        """Its name to a user, and in YAML."""
        return self.field.alias or self.name

    @property
    def flag(self) -> str:
        return flag_of(self.key)

    @property
    def required(self) -> bool:
        return self.field.is_required() or NEEDED in _marks(self.field)

    @property
    def default(self) -> Any:
        """None where there is none."""
        return None if self.required else self.field.get_default(call_default_factory=True)

    @cached_property
    def _kind(self) -> tuple[Any, bool, bool]:
        """The type of a value, whether there are several, and whether None stands for no value."""
        return _kind_of(self.field.annotation)

    @property
    def kind(self) -> Any:
        """The type of a value, or of each of several."""
        return self._kind[0]

    @property
    def several(self) -> bool:
        return self._kind[1]

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values that there are; none where they cannot be listed."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def metavar(self) -> str:
        """What stands for a value in help."""
        if self.positional:
            return self.key.upper()
        one = _NUMBERS.get(self.kind) or self.key.rpartition("_")[2].upper()
        return f"{one},..." if self.several else one

    def value(self, given: Any) -> Any:
        """What the command line gave, for pydantic: a text, texts of an option that may be repeated, or a bool."""
        if given == "None" and self._kind[2]:
            return None
        texts = [one for text in given for one in _items(text)] if self.several else [given]
        by_text = {str(choice): choice for choice in self.choices}
        values = [by_text.get(text, text) for text in texts]
        return values if self.several else values[0]

    def described(self) -> str:
        """What help and a configuration file say of it."""
        said = self.field.description or ""
        notes = [_listed(self.choices)] if any(str(one) not in said for one in self.choices) else []
        if self.required:
            notes.append("required")
        elif self.default is True:
            notes.append("default: on")
        elif self.default is not False and self.default not in (None, "", [], ()):
            notes.append(f"default: {_shown(self.default)}")
        return f"{said} [{'; '.join(notes)}]".strip() if notes else said


def options_of(model: type[BaseModel]) -> list[Option]:
    """All options of ``model`` by group; in a group what is required comes first, then what is the job's own."""
    fields = {name: field for name, field in model.model_fields.items() if FOUND not in _marks(field)}
    found = sorted((_option(model, name, field) for name, field in fields.items()), key=lambda one: one.depth)
    groups = list(dict.fromkeys(option.group for option in found))
    between = [group for group in groups if group not in _FIRST + _LAST]
    order = [*_FIRST, *between, *_LAST]
    return sorted(found, key=lambda one: (order.index(one.group), not one.required, not one.positional))


def flag_of(key: str) -> str:
    """``--some-field`` of ``some_field``."""
    return f"--{key.replace('_', '-')}"


def _option(model: type[BaseModel], name: str, field: FieldInfo) -> Option:
    declared = [one for one in model.__mro__ if issubclass(one, BaseModel) and name in one.model_fields]
    marks = [mark for one in declared for mark in _marks(one.model_fields[name])]
    titles = [mark.title for mark in marks if isinstance(mark, Group)]
    group = titles[0] if titles else getattr(declared[-1], "group", JobSettings.group)
    advanced = ADVANCED in marks or getattr(declared[-1], "advanced", False)
    depth = next(place for place, one in enumerate(model.__mro__) if name in get_annotations(one))
    return Option(name, field, group, advanced, POSITIONAL in marks, depth)


def _marks(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    yield from _inner_marks(field.annotation)


def _inner_marks(annotation: Any) -> Iterator[Any]:
    """Those within a union or a list: of ``Device | None``."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        yield from _inner_marks(part)


def _kind_of(annotation: Any) -> tuple[Any, bool, bool]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind_of(parts[0])
    if origin in (Union, types.UnionType):
        kind, several, _ = _kind_of(next(part for part in parts if part is not type(None)))
        return kind, several, type(None) in parts
    if origin in (list, tuple):
        return _kind_of(parts[0])[0], True, False
    return annotation, False, False


def _items(text: str) -> list[str]:
    """Of ``a,b``, ``"a,b",c`` or ``[a,b]``; empty text is one item, which is then found to be none."""
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1].strip()
        if not inner:
            return []
    return [one.strip() for one in next(csv.reader([inner], skipinitialspace=True), [])] or [""]


def _listed(choices: Sequence[Any]) -> str:
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
