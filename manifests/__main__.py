"""`python -m manifests COMMAND`: look at a data set, check it, trace, erase, compare, export.

Exit status: 0 all is well, 1 something is wrong with the data (`validate`) or differs (`diff`), 2 a mistake that the
user can mend, 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP) it was stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import cache

from manifests.common.stopping import report_stop, stop_quietly, stop_raises

if __name__ == "__main__":
    stop_quietly()  # what follows takes a second to import

from manifests.commands import COMMANDS
from manifests.common.command_line import Parser, wrapped
from manifests.errors import UserError


def main(arguments: Sequence[str] | None = None, program: str = "python -m manifests") -> int:
    """Run one command of ``program`` and return its exit status."""
    try:
        with stop_raises():
            options = make_parser(program).parse_args(arguments)
            return COMMANDS[options.command].run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: nothing left to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as stop:
        return report_stop(stop)


@cache
def make_parser(program: str) -> argparse.ArgumentParser:
    """The command line of every command; help calls it ``program``."""
    parser = Parser(
        prog=program,
        description="Look at a data set, check it, change what is in it, hand it on.",
        epilog=f"{program} COMMAND --help says more of each.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", title="commands")
    for name, command in COMMANDS.items():
        call, does, rest = _told(command.__doc__ or "")
        usage, does, rest = f"{program} {call} [options]", wrapped(does), wrapped(rest)
        command.add_arguments(commands.add_parser(name, help=command.HELP, usage=usage, description=does, epilog=rest))
    return parser


def _told(doc: str) -> tuple[str, str, str]:
    """Of a command's docstring: how it is called, what it does, and what else there is to say."""
    first, _, rest = doc.partition("\n\n")
    call, _, does = first.removeprefix("`python -m manifests ").partition("`: ")
    return call, does[:1].upper() + does[1:], rest


if __name__ == "__main__":
    sys.exit(main())
