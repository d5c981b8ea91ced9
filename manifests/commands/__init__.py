"""The commands of `python -m manifests`, a file each; what they do is in `manifests` itself.

A command module has ``HELP``, ``add_arguments(parser)`` and ``run(options)``, which returns the exit status. It raises
`UserError` for a mistake that the user can mend.
"""

from __future__ import annotations

import argparse
from typing import Protocol

from manifests.commands import describe, detect, diff, erase, export, files, gc, merge, report, show, trace, validate


class Command(Protocol):
    """What a command module offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int: ...


COMMANDS: dict[str, Command] = {
    "show": show,
    "validate": validate,
    "trace": trace,
    "detect": detect,
    "diff": diff,
    "files": files,
    "export": export,
    "describe": describe,
    "report": report,
    "erase": erase,
    "merge": merge,
    "gc": gc,
}
"""By name, in the order that help lists them."""
