"""`python -m manifests report URI --output report.html`: one page that shows what the data set is."""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json, add_uri, natural
from manifests.common.json_text import lenient_json
from manifests.reading.dataset import open_dataset
from manifests.showing.report import PICTURES, write_report

HELP = "a self-contained page: pictures, counts, scores, provenance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    parser.add_argument("--output", required=True, metavar="FILE", help="where the page goes (.html) [required]")
    parser.add_argument("--source", metavar="URI", help="the source images; by default those that run.json names")
    parser.add_argument("--annotations", metavar="URI", help="their masks and poses; by default those of run.json")
    parser.add_argument("--samples", type=natural, default=9, metavar="N", help="rows a contact sheet (default 9)")
    parser.add_argument(
        "--pictures",
        type=natural,
        default=PICTURES,
        metavar="N",
        help=f"rows that the list of all shows with their pictures (default {PICTURES}; each takes some 4 kB)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    place = write_report(
        dataset,
        options.output,
        source=options.source,
        annotations=options.annotations,
        samples=options.samples,
        pictures=options.pictures,
    )
    print(lenient_json({"output": place, "rows": dataset.snapshot.rows}) if options.json else f"report: {place}")
    return 0
