"""Settings as a YAML file: read, and printed whole with what each is for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter

from manifests.common.command_line import meant
from manifests.errors import UserError, one_line
from pipeline.common.settings.options import Option, options_of

_WIDTH = 100


def read_config(model: type[BaseModel], path: str | None) -> dict[str, Any]:
    """The settings in the file by their fields' names; none without a file. Keys may have dashes.

    Raises:
        UserError: it cannot be read, or has keys that ``model`` has not.
    """
    if path is None:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the configuration file {path}: {one_line(error)}") from None
    if content is None:
        return {}  # nothing but comments
    if not isinstance(content, dict):
        raise UserError(f"the configuration file {path} must hold 'name: value' lines")
    options = options_of(model)
    names = {one.key: one.name for one in options} | {one.name: one.name for one in options}
    given = {str(key).replace("-", "_"): value for key, value in content.items()}
    unknown = [f"{key!r}{meant(key, names)}" for key in given if key not in names]
    if unknown:
        raise UserError(
            f"unknown setting of the configuration file {', '.join(unknown)}; known: {', '.join(sorted(names))}"
        )
    return {names[key]: value for key, value in given.items()}


def config_text(model: type[BaseModel], given: Mapping[str, Any], program: str) -> str:
    """A file of all settings: those ``given``, by field, and the others' defaults as comments."""
    lines = [
        f"# Settings: {program} --config FILE; options on the command line override the file.",
        "# Lines with a # before a name show defaults: take it away to set a value.",
    ]
    for group, options in groupby(options_of(model), key=lambda option: option.group):
        lines += ["", f"# ---- {group} ----"]
        for option in options:
            lines += ["", *_lines(option, given)]
    return "\n".join(lines)


def _lines(option: Option, given: Mapping[str, Any]) -> Iterator[str]:
    yield from textwrap.wrap(option.described(), _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if option.name in given:
        yield f"{option.key}: {_yaml(option, given[option.name])}"
    else:
        yield f"# {option.key}:{'' if option.required else f' {_yaml(option, option.default)}'}"


def _yaml(option: Option, value: Any) -> str:
    """On one line."""
    kind: Any = option.field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    plain = adapter.dump_python(adapter.validate_python(value), mode="json")
    return yaml.safe_dump(plain, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
