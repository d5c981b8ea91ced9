"""`python -m manifests COMMAND`: look at a data set, check it, trace, erase, compare, export.

Exit status: 0 all is well, 1 something is wrong with the data (`validate`) or differs (`diff`), 2 a mistake that the
user can mend, 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP) it was stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from manifests.common.stopping import report_stop, stop_quietly, stop_raises

if __name__ == "__main__":
    stop_quietly()  # what follows takes a second to import

from manifests.commands import COMMANDS
from manifests.errors import UserError


def main(arguments: Sequence[str] | None = None, program: str = "python -m manifests") -> int:
    """Run one command of ``program`` and return its exit status."""
    options = make_parser(program).parse_args(arguments)
    try:
        with stop_raises():
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


def make_parser(program: str) -> argparse.ArgumentParser:
    """The command line of every command; help calls it ``program``."""
    parser = argparse.ArgumentParser(prog=program, description="Look at and check a data set.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        form = argparse.RawDescriptionHelpFormatter
        command.add_arguments(
            commands.add_parser(name, help=command.HELP, description=command.__doc__, formatter_class=form)
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
