"""`reid-synth VERB`: the jobs and the commands of `manifests` under one name, from wherever they are installed.

A job runs as `python jobs/X.py` would: the file itself, as the program's main module. Nothing of torch or Ray is
imported before the verb is known.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location

from manifests.common.stopping import stop_quietly

if __name__ == "__main__":
    stop_quietly()

from manifests.errors import UserError
from reid_synth import __version__
from reid_synth.verbs import Verb, choose_verb, find_verbs, verbs_of

_PROGRAM = "reid-synth"
_HELP = ("-h", "--help")
_GROUPS = {
    "job": "jobs: real images in, generators and models trained, data sets made and measured",
    "command": "commands: what is done with a data set on disk",
}
_WIDEST = 120


def main() -> int:
    """Run the verb of the command line and return its exit status."""
    stop_quietly()
    typed, verbs = sys.argv[1:], find_verbs()
    try:
        if not typed or typed[0] in _HELP:
            print("\n".join(_overview(verbs)))
        elif typed[0] == "--version":
            print(_PROGRAM, __version__)
        elif typed[0] == "completion":
            return _complete(typed[1:], verbs)
        elif len(typed) == 2 and typed[1] in _HELP and (family := verbs_of(verbs, typed[0])):
            print("\n".join(_listed(family)))
        else:
            return _run(*choose_verb(verbs, typed))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(verb: Verb, arguments: list[str]) -> int:
    if verb.kind == "command":
        from manifests.__main__ import main as run_command

        return run_command([verb.name, *arguments], _PROGRAM)
    _run_script(verb, arguments)
    return 0


def _run_script(verb: Verb, arguments: list[str]) -> None:
    """The job's file as the main module: what Ray sends to workers and what spawned processes import are as with
    ``python FILE``. A job ends by `SystemExit`."""
    sys.argv = [f"{_PROGRAM} {verb.name}", *arguments]
    sys.path.insert(0, str(verb.path.parent))
    spec = spec_from_file_location("__main__", verb.path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    module.__spec__ = None
    sys.modules["__main__"] = module
    spec.loader.exec_module(module)


def _complete(arguments: Sequence[str], verbs: Sequence[Verb]) -> int:
    from reid_synth.completion import SHELLS, completion_script

    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise UserError(f"which shell? `{_PROGRAM} completion {'|'.join(SHELLS)}` prints what it reads")
    print(completion_script(arguments[0], verbs))
    return 0


def _overview(verbs: Sequence[Verb]) -> Iterator[str]:
    yield f"usage: {_PROGRAM} VERB [OPTION ...]"
    yield f"       {_PROGRAM} VERB --help"
    for kind, title in _GROUPS.items():
        yield f"\n{title}"
        yield from _listed([verb for verb in verbs if verb.kind == kind])
    yield "\nthis program"
    yield from _lines({"completion SHELL": "completion for bash, zsh or fish, as a script", "--version": __version__})


def _listed(verbs: Sequence[Verb]) -> Iterator[str]:
    return _lines({verb.name: verb.summary for verb in verbs})


def _lines(said: dict[str, str]) -> Iterator[str]:
    width = min(shutil.get_terminal_size((_WIDEST, 0)).columns, _WIDEST)
    for name, text in said.items():
        yield f"  {name:28}{textwrap.shorten(text, max(width - 30, 20), placeholder=' ...')}"


if __name__ == "__main__":
    sys.exit(main())
