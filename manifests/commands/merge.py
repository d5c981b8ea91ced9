"""`python -m manifests merge URI URI [...] --output URI`: one data set out of several of a kind.

People of one name in different data sets stay apart; class numbers of the first input stay as they are.
"""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_json
from manifests.common.json_text import lenient_json
from manifests.reading.summary import summarize
from manifests.writing.merge import DUPLICATE, merge

_SIZES_SHOWN = 3
HELP = "one data set out of several of a kind"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uris", metavar="URI", nargs="+", help="data sets of one kind, two or more")
    parser.add_argument("--output", metavar="URI", required=True, help="where the union goes [required]")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    dataset = merge(options.uris, options.output)
    classes = dataset.classes
    counts = dataset.snapshot.counts
    sizes = summarize(dataset).sizes
    if options.json:
        labelled = {"classes": len(classes) if classes is not None else None, "sizes": sizes}
        print(lenient_json({"uri": dataset.uri, **counts, **labelled}))
        return 0
    twins = dataset.snapshot.reasons.get(DUPLICATE, 0)
    numbered = f", {len(classes)} classes" if classes is not None else ""
    print(
        f"{dataset.uri}: {counts['written']} {dataset.kind} rows of {len(options.uris)} data sets{numbered}; "
        f"{twins} duplicates left out, {counts['rejected'] - twins} rejected before"
    )
    if len(sizes) > 1 and dataset.kind != "annotation":
        shown = ", ".join(f"{size}: {rows}" for size, rows in list(sizes.items())[:_SIZES_SHOWN])
        print(
            f"note: images of {len(sizes)} sizes ({shown}{', ...' if len(sizes) > _SIZES_SHOWN else ''}): "
            "whoever trains on them needs a transform= that resizes"
        )
    return 0
