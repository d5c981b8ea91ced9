"""Completion of verbs and options in bash, zsh and fish: a script that shtab writes from the parsers of all verbs.

The script knows every option by itself, so that a press of TAB starts no Python; to write it imports every job.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import shtab

from manifests.commands import COMMANDS
from reid_synth.verbs import Verb

SHELLS = ("bash", "zsh", "fish")


def completion_script(shell: str, verbs: Iterable[Verb]) -> str:
    """What ``shell``, one of `SHELLS`, reads to complete ``verbs`` and what follows them."""
    parser = argparse.ArgumentParser("reid-synth", description="synthetic person re-identification data sets")
    parser.add_argument("--version", action="store_true", help="which one this is")
    firsts = parser.add_subparsers()
    families: dict[str, Any] = {}
    for verb in verbs:
        *family, last = verb.words
        if family and family[0] not in families:
            families[family[0]] = firsts.add_parser(family[0], help=f"{family[0]} ...").add_subparsers()
        place = families[family[0]] if family else firsts
        _add_options(place.add_parser(last, help=verb.summary, add_help=verb.kind == "command"), verb)
    firsts.add_parser("completion", help="a script for the shell").add_argument("shell", choices=SHELLS)
    return str(shtab.complete(parser, shell))


def _add_options(parser: argparse.ArgumentParser, verb: Verb) -> None:
    if verb.kind == "command":
        COMMANDS[verb.name].add_arguments(parser)
    else:
        _add_settings(parser, verb)
    for action in parser._actions:
        if action.choices is None and action.nargs != 0:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab looks for it; most are places of data sets


def _add_settings(parser: argparse.ArgumentParser, job: Verb) -> None:
    """The options of a job: those of its module's ``Settings``."""
    from pipeline.common.settings import add_options, options_of

    model = _load(job).Settings
    add_options(parser, model)
    choices = {option.name: option.choices for option in options_of(model)}
    for action in parser._actions:
        action.choices = choices.get(action.dest) or None


def _load(job: Verb) -> ModuleType:
    """The job as a module beside those that tests may have imported; pydantic finds types by a module's name."""
    spec = spec_from_file_location(f"completed_{job.path.stem}", job.path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
