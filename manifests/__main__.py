"""`python -m manifests show|validate|files URI`: look at a data set, check it, list its files.

Exit status: 0 all is well, 1 `validate` found faults, 2 a mistake that the user can mend.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from manifests.dataset import open_dataset
from manifests.errors import UserError
from manifests.show import as_json, as_text, draw_sheet
from manifests.validate import validate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: nothing left to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _show(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    if (options.sample is None) != (options.output is None):
        raise UserError("--sample N and --output FILE go together")
    print(as_json(dataset, options.rows) if options.json else as_text(dataset, options.rows))
    if options.sample is not None:
        draw_sheet(dataset, options.sample, options.output)
    return 0


def _validate(options: argparse.Namespace) -> int:
    report = validate(options.uri)
    print(report.to_json() if options.json else report.to_text())
    return 1 if report.faults else 0


def _files(options: argparse.Namespace) -> int:
    print("\n".join(open_dataset(options.uri).files()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m manifests", description="Look at and check a data set.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("show", help="counts, sizes, scores and a sample of rows")
    show.add_argument("--rows", type=_natural, default=5, metavar="N", help="sample rows to show (default 5)")
    show.add_argument("--sample", type=_natural, metavar="N", help="draw N pictures on a sheet")
    show.add_argument("--output", metavar="FILE", help="where the sheet goes (.png or .jpg)")
    show.set_defaults(command=_show)
    check = commands.add_parser("validate", help="check everything that must hold of a data set")
    check.set_defaults(command=_validate)
    files = commands.add_parser("files", help="the Parquet files of the newest snapshot")
    files.set_defaults(command=_files)
    for command in (show, check, files):
        command.add_argument("uri", metavar="URI", help="a path, or a file://, s3://, gs:// or az:// URI")
    for command in (show, check):
        command.add_argument("--json", action="store_true", help="JSON for programs")
    return parser


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
