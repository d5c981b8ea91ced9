"""`python -m manifests diff A B`: rows, settings, models and inputs that differ; exit status 1 if any do."""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json
from manifests.common.json_text import lenient_json
from manifests.reading.dataset import open_dataset
from manifests.showing.diff import diff
from manifests.showing.diff_text import as_text

HELP = "what differs between two data sets of one kind"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help="URI of a data set")
    parser.add_argument("second", metavar="B", help="URI of another")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    found = diff(open_dataset(options.first), open_dataset(options.second))
    print(lenient_json(found.to_json(), indent=1, ensure_ascii=False) if options.json else as_text(found))
    return 0 if found.same else 1
