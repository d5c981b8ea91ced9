"""Command lines that say mistakes in one line, and help that reads well at any width."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import Any, NoReturn

from manifests.errors import UserError

_FLAG_COLUMNS = 30
"""Flags as wide as this have their help beside them; wider ones have it below."""
_LEAST_BEGUN, _MOST_MEANT = 4, 3
"""Letters (dashes too) that tell something of what was meant, and how many things are named as such."""


def meant(name: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, where some of the ``known`` begin with ``name`` or one is near to it; else nothing."""
    texts = list(map(str, known))
    begun = sorted(text for text in texts if text.startswith(name)) if len(name) >= _LEAST_BEGUN else []
    near = begun[:_MOST_MEANT] or get_close_matches(name, texts, n=1, cutoff=0.7)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def unknown_options(names: Sequence[str], known: Collection[str]) -> str:
    """``unknown option --sorce (did you mean --source?), --x``."""
    return f"unknown option{'s' if len(names) > 1 else ''} {', '.join(name + meant(name, known) for name in names)}"


def columns() -> int:
    """How wide help may be."""
    return shutil.get_terminal_size().columns - 2


def plain(text: str) -> str:
    """``text`` as argparse shows it: it reads ``%`` as a field."""
    return text.replace("%", "%%")


def wrapped(text: str) -> str:
    """A docstring's paragraphs as wide as help is; indented lines stay lines. For an argparse that shows it so."""
    lines: list[str] = []
    for (blank, indented), part in groupby(plain(text).replace("`", "").strip("\n").splitlines(), key=_form):
        each = list(part)
        for line in each if blank or indented else [" ".join(each)]:
            indent = " " * 6 if indented else ""
            lines += textwrap.wrap(line, columns(), subsequent_indent=indent, break_on_hyphens=False) or [""]
    return "\n".join(lines)


def _form(line: str) -> tuple[bool, bool]:
    return not line.strip(), line.startswith(" ")


class Switch(argparse.BooleanOptionalAction):
    """``--flag`` and ``--no-flag``; ``on`` says that it is on unless it is turned off."""

    def __init__(self, *args: Any, on: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on = on


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Flags in one column, wide enough for most; ``--[no-]flag`` for what is on unless it is turned off."""

    def __init__(self, prog: str, **kwargs: Any) -> None:
        super().__init__(prog, **{"max_help_position": _FLAG_COLUMNS, **kwargs})

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, Switch):
            flag = action.option_strings[0]
            return f"--[no-]{flag.removeprefix('--')}" if action.on else flag
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        values = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {values}"

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are `UserError`s: all unknown options at once, with what was meant.

    No option may be shortened: what one recipe calls ``--background`` would be another's ``--backgrounds``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": HelpFormatter, "allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        missing = message.removeprefix("the following arguments are required: ")
        if missing != message:
            raise UserError(f"{missing} {'are' if ', ' in missing else 'is'} required")
        raise UserError(message.removeprefix("argument "))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Leaves nothing unknown: raises UserError instead, whoever asks (a parser of commands asks that of each)."""
        given = list(sys.argv[1:] if args is None else args)
        if self._subparsers is None:  # before what is missing is found: it may be misspelt
            self._refuse([name for name in map(_flag, given[: _end(given)]) if not self._is_known(name)])
        found, unknown = super().parse_known_args(given, namespace)
        self._refuse([name for name in map(_flag, unknown) if name.startswith("-")])
        if unknown:
            raise UserError(f"unexpected argument {unknown[0]!r}")
        return found, unknown

    def _is_known(self, name: str) -> bool:
        return not name.startswith("--") or name == "--" or name in self._option_string_actions

    def _refuse(self, names: Sequence[str]) -> None:
        if names:
            raise UserError(unknown_options(list(dict.fromkeys(names)), self._option_string_actions))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = f"{meant(str(value), action.choices)}; known: {', '.join(map(str, action.choices))}"
            raise argparse.ArgumentError(action, f"unknown {value!r}{known}")


def _flag(argument: str) -> str:
    """``--flag`` of ``--flag=value``; text with a space is no flag, to argparse neither."""
    name = argument.partition("=")[0]
    return "" if " " in name else name


def _end(arguments: Sequence[str]) -> int:
    """Where the options end, as ``--`` says."""
    return arguments.index("--") if "--" in arguments else len(arguments)
