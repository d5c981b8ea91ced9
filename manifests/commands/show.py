"""`python -m manifests show URI`: counts, scores and sample rows; the answer to a query; a sheet of pictures.

--where and --sql speak polars' SQL over every column but the pictures; struct fields are reached by a dot:
  show URI --where "camera = 3 AND quality.foreground_change > 0.1" --sample 40 --output sheet.png
  show URI --sql "SELECT recipe, target.camera, COUNT(*) AS rows FROM data GROUP BY ALL"
"""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json, add_uri, natural, positive
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.people import rows_of
from manifests.reading.query import query, rows_where
from manifests.showing.show import as_json, as_table, as_text, draw_sheet

HELP = "counts, sizes, scores and a sample of rows; answers to SQL; pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    add_json(parser)
    parser.add_argument("--rows", type=natural, default=5, metavar="N", help="sample rows to show (default 5)")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--where", metavar="EXPRESSION", help="only rows for which this SQL expression holds")
    asked.add_argument(
        "--identity", metavar="ID", help="only rows of this person; a number with or without zeros before it"
    )
    asked.add_argument("--sql", metavar="STATEMENT", help="the answer to SELECT ... FROM data ..., and nothing else")
    parser.add_argument("--sample", type=positive, metavar="N", help="draw N pictures on a sheet")
    parser.add_argument("--output", metavar="FILE", help="where the sheet goes (.png or .jpg)")


def run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    if (options.sample is None) != (options.output is None):
        raise UserError("--sample N and --output FILE go together")
    if options.sql is None:
        _show(dataset, options)
        return 0
    if options.sample is not None:
        raise UserError("--sample draws rows of the data set: choose them by --where, not by --sql")
    answer = query(dataset, options.sql)
    print(answer.write_json() if options.json else as_table(answer))
    return 0


def _show(dataset: Dataset, options: argparse.Namespace) -> None:
    chosen = None
    if options.where is not None:
        chosen = rows_where(dataset, options.where)
    elif options.identity is not None:
        chosen = rows_of(dataset, options.identity)
    if options.sample is not None:  # first: what is wrong with the file is then all that is said
        draw_sheet(dataset, options.sample, options.output, chosen)
    print(as_json(dataset, options.rows, chosen) if options.json else as_text(dataset, options.rows, chosen))
