"""Settings from a command line, and what a user reads where they are wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from manifests.common.command_line import meant
from manifests.errors import UserError
from pipeline.common.settings.config_file import config_text, read_config
from pipeline.common.settings.model import SettingsT
from pipeline.common.settings.options import flag_of, options_of
from pipeline.common.settings.parser import argument_parser


def parse_settings(model: type[SettingsT], arguments: Sequence[str], program: str = "job", doc: str = "") -> SettingsT:
    """Settings from command-line ``arguments`` (without the program's name) and an optional ``--config``.

    Help shows the examples of ``doc``, the job's docstring. ``--help``, ``--help-all`` and ``--print-config`` print and
    end the program by SystemExit.

    Raises:
        UserError: an unknown flag or key, a missing or bad value, an unreadable YAML file.
    """
    parser = argument_parser(model, program, doc, everything="--help-all" in arguments)
    given = vars(parser.parse_args(arguments))
    file, printed = given.pop("config", None), given.pop("print_config", False)
    options = {option.name: option for option in options_of(model)}
    values = read_config(model, file) | {name: options[name].value(value) for name, value in given.items()}
    try:
        if printed:
            print(config_text(model, values, program))
            raise SystemExit(0)
        return model.model_validate({options[name].key: value for name, value in values.items()})
    except ValidationError as error:
        by_place = {option.key for option in options.values() if option.positional}
        raise UserError(faults(error, by_place)) from None


def faults(error: ValidationError, by_place: Collection[str] = ()) -> str:
    """The faults of a pydantic validation error in one line, by flag; settings ``by_place`` have none."""
    missing, wrong = [], []
    for fault in error.errors():
        if not fault["loc"]:  # of all settings together, which say themselves which are meant
            wrong.append(fault["msg"].removeprefix("Value error, "))
            continue
        where = ".".join(str(part) for part in fault["loc"])
        name = where.upper() if where in by_place else flag_of(where)
        if fault["type"] == "missing":
            missing.append(name)
        else:
            wrong.append(f"{name}: {_said(fault)}")
    if missing:
        wrong.insert(0, f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} required")
    return "; ".join(wrong)


def _said(fault: Mapping[str, Any]) -> str:
    given = fault.get("input")
    hint = ""
    if fault["type"] == "literal_error":
        hint = meant(str(given), re.findall(r"'([^']*)'", fault["ctx"]["expected"]))
    return f"{fault['msg'].removeprefix('Value error, ')} (got {given!r}){hint}"
