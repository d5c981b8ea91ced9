"""`python -m manifests trace URI SAMPLE_ID`: the images, models, settings and seed that one row comes from.

Source manifest and annotations are opened where the run had them, or where --source and --annotations say.
"""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json, add_uri
from manifests.common.json_text import lenient_json
from manifests.reading.dataset import open_dataset
from manifests.showing.trace import trace
from manifests.showing.trace_text import as_text

HELP = "the chain behind one row: source images, models, settings, seed, label"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    parser.add_argument("sample", metavar="SAMPLE_ID", help="the row's id, or first digits that no other has")
    add_json(parser)
    parser.add_argument("--source", metavar="URI", action="append", default=[], help="where source images lie now")
    parser.add_argument("--annotations", metavar="URI", action="append", default=[], help="where their masks lie now")


def run(options: argparse.Namespace) -> int:
    chain = trace(open_dataset(options.uri), options.sample, options.source, options.annotations)
    print(lenient_json(chain.to_json(), indent=1, ensure_ascii=False) if options.json else as_text(chain))
    return 0
