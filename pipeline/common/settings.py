"""One way for every job to get its settings: command line, YAML file or Python, the same typed model.

A job declares a pydantic model (fields with descriptions, bounds and defaults) and a function that takes it::

    class Settings(JobSettings):
        \"\"\"What the job does, in a sentence; shown by --help.\"\"\"
        source: str = Field(description="URI of the source manifest")

    if __name__ == "__main__":
        run_job(Settings, main)

``--some-field VALUE`` sets ``some_field``; lists repeat the flag or take commas; ``--config FILE.yaml`` gives
values that the command line overrides. Unknown keys, bad values and missing files end in one line on stderr
and exit status 2 before any work starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from manifests.common.stopping import report_stop, stop_raises
from manifests.errors import UserError, one_line
from pipeline.common.known import check_known

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class JobSettings(BaseModel):
    """Base of all settings models: unknown keys are refused, numbers are finite, values do not change after parsing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def part(self, model: type[SettingsT]) -> SettingsT:
        """Those of the settings that are ``model``'s."""
        return model.model_validate(self.model_dump(include=set(model.model_fields)))


def parse_settings(model: type[SettingsT], arguments: Sequence[str], program: str = "job") -> SettingsT:
    """Settings from command-line ``arguments`` (without the program's name) and an optional ``--config``.

    Raises:
        UserError: an unknown flag or key, a missing or bad value, an unreadable YAML file.
    """
    arguments = list(arguments)
    from_file = _read_config(_take_option(arguments, "--config"))
    check_known("setting of the configuration file", from_file, sorted(model.model_fields))
    try:
        parsed = CliApp.run(_command_line(model, program), cli_args=arguments, **from_file)
        return model.model_validate(parsed.model_dump())
    except ValidationError as error:
        raise UserError(first_fault(error)) from None
    except SettingsError as error:
        raise UserError(one_line(error).removeprefix("error parsing CLI: ")) from None


def run_job(model: type[SettingsT], main: Callable[[SettingsT], int | None]) -> None:
    """Parse ``sys.argv``, print the settings resolved, run ``main`` and exit with its status.

    A `UserError` becomes ``error: <one line>`` on stderr and exit status 2; a signal that asks to stop becomes a line
    that says what is kept, and 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP).
    """
    program = Path(sys.argv[0]).name
    try:
        with stop_raises():
            settings = parse_settings(model, sys.argv[1:], program)
            shown = " ".join(f"{key}={value}" for key, value in settings.model_dump(mode="json").items())
            print(f"{program}: {shown}", flush=True)
            status = main(settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = 2
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: nothing left to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt as stop:
        status = report_stop(stop)
    sys.exit(status or 0)


def _command_line(model: type[BaseModel], program: str) -> type[BaseSettings]:
    """A settings class over ``model`` that reads the command line and nothing from the environment."""

    class CommandLine(BaseSettings, model):  # type: ignore[misc, valid-type]
        __doc__ = model.__doc__
        model_config = SettingsConfigDict(
            extra="forbid",
            cli_prog_name=program,
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_exit_on_error=False,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            *_: Any,
            **__: Any,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings,)

    return CommandLine


def _take_option(arguments: list[str], flag: str) -> str | None:
    """Remove ``flag VALUE`` or ``flag=VALUE`` from ``arguments`` and return the value."""
    for index, argument in enumerate(arguments):
        if argument == flag:
            if index + 1 == len(arguments):
                raise UserError(f"{flag} needs a value")
            value = arguments[index + 1]
            del arguments[index : index + 2]
            return value
        if argument.startswith(f"{flag}="):
            del arguments[index]
            return argument.partition("=")[2]
    return None


def _read_config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the configuration file {path}: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"the configuration file {path} must hold 'name: value' lines")
    return {str(key).replace("-", "_"): value for key, value in content.items()}


def first_fault(error: ValidationError) -> str:
    """The first fault of a pydantic validation error, by flag."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    flag = "--" + where.replace("_", "-")
    if first["type"] == "missing":
        return f"{flag} is required"
    message = first["msg"].removeprefix("Value error, ")
    return f"{flag}: {message} (got {first.get('input')!r})"
