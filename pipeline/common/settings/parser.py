"""The command line of a job: its options in groups, and its docstring as description and examples."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from itertools import groupby

from pydantic import BaseModel

from manifests.common.command_line import Parser, Switch, columns, plain, wrapped
from pipeline.common.settings.options import Option, options_of


def argument_parser(model: type[BaseModel], program: str, doc: str = "", everything: bool = True) -> Parser:
    """The parser of ``program``, whose settings are ``model``; it requires nothing, for a file may give it.

    Help ends with the examples of ``doc``, the job's docstring, and leaves advanced options out without ``everything``.
    What was not given is not in the namespace.
    """
    parser = Parser(
        prog=program,
        usage=_usage(program, options_of(model)),
        description=wrapped(cleandoc(model.__doc__ or "")),
        epilog="\n".join(_epilog(doc, program)),
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    add_options(parser, model, everything)
    return parser


def add_options(parser: argparse.ArgumentParser, model: type[BaseModel], everything: bool = True) -> None:
    """The options of `argument_parser` for any ``parser`` that has no ``--help`` yet."""
    options = options_of(model)
    for group, members in groupby(options, key=lambda option: option.group):
        place = parser.add_argument_group(group)
        for option in members:
            _add(place, option, everything)
    _add_general(parser.add_argument_group("settings and help"), sum(option.advanced for option in options))


def _add(place: argparse._ArgumentGroup, option: Option, everything: bool) -> None:
    told = argparse.SUPPRESS if option.advanced and not everything else plain(option.described())
    if option.positional:
        count = "*" if option.several else "?"
        place.add_argument(option.name, metavar=option.metavar, nargs=count, help=told)
    elif option.kind is bool:
        place.add_argument(option.flag, dest=option.name, action=Switch, on=option.default is True, help=told)
    else:
        action = "append" if option.several else "store"
        place.add_argument(option.flag, dest=option.name, metavar=option.metavar, action=action, help=told)


def _add_general(place: argparse._ArgumentGroup, advanced: int) -> None:
    place.add_argument("--config", metavar="FILE", help="YAML file of settings; the command line overrides it")
    place.add_argument("--print-config", action="store_true", help="print such a file, with all settings, and end")
    place.add_argument("-h", "--help", action="help", help="show this and end")
    more = f"show {advanced} more, which few need" if advanced else argparse.SUPPRESS
    place.add_argument("--help-all", action="help", help=more)


def _usage(program: str, options: Sequence[Option]) -> str:
    needed = [_needed(option) for option in options if option.required or option.positional]
    return plain(_command(f"{program} {' '.join([*needed, '[options]'])}", width=columns() - 8, indent=" " * 9))


def _needed(option: Option) -> str:
    if not option.positional:
        return f"{option.flag} {option.metavar}"
    return option.metavar if option.required else f"[{option.metavar} ...]"


def _epilog(doc: str, program: str) -> Iterator[str]:
    """Of the job's docstring: the commands in it, each with its comment above; then what is said after them."""
    for part in doc.strip().split("\n\n")[1:]:
        yield ""
        if part.startswith("python "):
            yield "examples:"
            for command in part.replace("\\\n", " ").splitlines():
                yield from _example(command, program)
        else:
            yield wrapped(part)


def _example(command: str, program: str) -> Iterator[str]:
    text, _, comment = command.partition(" # ")
    if comment:
        yield plain(f"  # {comment.strip()}")
    words = re.sub(r"^python \S+\.py", program, " ".join(text.split()))
    yield plain(_command(f"  {words}", columns() - 2, " " * 6, " \\"))


def _command(text: str, width: int, indent: str, end: str = "") -> str:
    """A command in lines, each but the last with ``end``; a value stays beside its flag."""
    whole = re.sub(r"(--\S+) (?![-[])", "\\1\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(whole, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return f"{end}\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
