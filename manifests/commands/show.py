"""`python -m manifests show URI`: counts, scores and sample rows; a sheet of pictures."""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json, add_uri, natural
from manifests.dataset import open_dataset
from manifests.errors import UserError
from manifests.show import as_json, as_text, draw_sheet

HELP = "counts, sizes, scores and a sample of rows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    add_json(parser)
    parser.add_argument("--rows", type=natural, default=5, metavar="N", help="sample rows to show (default 5)")
    parser.add_argument("--sample", type=natural, metavar="N", help="draw N pictures on a sheet")
    parser.add_argument("--output", metavar="FILE", help="where the sheet goes (.png or .jpg)")


def run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    if (options.sample is None) != (options.output is None):
        raise UserError("--sample N and --output FILE go together")
    print(as_json(dataset, options.rows) if options.json else as_text(dataset, options.rows))
    if options.sample is not None:
        draw_sheet(dataset, options.sample, options.output)
    return 0
