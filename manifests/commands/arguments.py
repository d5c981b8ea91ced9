"""Arguments that several commands take."""

from __future__ import annotations

import argparse


def add_uri(parser: argparse.ArgumentParser) -> None:
    """The data set that the command is about, as ``options.uri``."""
    parser.add_argument("uri", metavar="URI", help="a path, or a file://, s3://, gs:// or az:// URI")


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``, as ``options.json``."""
    parser.add_argument("--json", action="store_true", help="JSON for programs")


def natural(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0 or more")
    return int(text)


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    value = natural(text)
    if not value:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return value
