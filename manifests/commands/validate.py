"""`python -m manifests validate URI`: exit status 1 where faults were found."""

from __future__ import annotations

import argparse

from manifests.checking.validate import validate
from manifests.commands.arguments import add_json, add_uri

HELP = "check everything that must hold of a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    report = validate(options.uri)
    print(report.to_json() if options.json else report.to_text())
    return 1 if report.faults else 0
