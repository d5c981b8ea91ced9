"""`python -m manifests merge URI URI [...] --output URI`: one data set out of several of a kind.

People of one name in different data sets stay apart; class numbers of the first input stay as they are.
"""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json
from manifests.common.json_text import lenient_json
from manifests.writing.merge import DUPLICATE, merge

HELP = "one data set out of several of a kind"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uris", metavar="URI", nargs="+", help="data sets of one kind, two or more")
    parser.add_argument("--output", metavar="URI", required=True, help="where the union goes")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    dataset = merge(options.uris, options.output)
    classes = dataset.classes
    counts = dataset.snapshot.counts
    if options.json:
        print(lenient_json({"uri": dataset.uri, **counts, "classes": len(classes) if classes is not None else None}))
        return 0
    twins = dataset.snapshot.reasons.get(DUPLICATE, 0)
    numbered = f", {len(classes)} classes" if classes is not None else ""
    print(
        f"{dataset.uri}: {counts['written']} {dataset.kind} rows of {len(options.uris)} data sets{numbered}; "
        f"{twins} duplicates left out, {counts['rejected'] - twins} rejected before"
    )
    return 0
