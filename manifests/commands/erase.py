"""`python -m manifests erase URI [URI ...]`: take a person or an image out, with all that was made of them.

Name every data set that may hold something: the source, its annotations, and whatever was made of it. Exit status 1:
nothing of what was asked for is in any of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from manifests.commands.arguments import add_json
from manifests.common.json_text import lenient_json
from manifests.describing.card import DATASET_CARD
from manifests.erasing.erase import ErasedDataset, ErasureReport, erase
from manifests.erasing.models import Model
from manifests.erasing.traces import Request

HELP = "remove all that comes from a person or an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uris", metavar="URI", nargs="+", help="data sets of any kind")
    parser.add_argument("--identity", metavar="ID", action="append", default=[], help="a person; may be repeated")
    parser.add_argument(
        "--image", metavar="ID", action="append", default=[], help="an image_id or SHA-256; may be repeated"
    )
    parser.add_argument(
        "--list",
        metavar="FILE",
        help="a text file, one identity or image a line: 32 or 64 hexadecimal digits are an image; "
        "'identity:' or 'image:' before it says it outright",
    )
    parser.add_argument("--dataset-id", metavar="ID", help="the data set in which the identities are names")
    parser.add_argument("--dry-run", action="store_true", help="say what would go and write nothing")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    request = Request.of(options.identity, options.image, options.list, options.dataset_id)
    report = erase(options.uris, request, dry_run=options.dry_run)
    print(lenient_json(asdict(report), indent=1) if options.json else "\n".join(_lines(report)))
    return 0 if report.finished or any(map(_lost, report.datasets)) else 1


def _lost(dataset: ErasedDataset) -> bool:
    """Whether anything went, or would go."""
    return bool(dataset.rows or dataset.rejects or dataset.shards or dataset.retired)


def _lines(report: ErasureReport) -> Iterator[str]:
    for uri in report.finished:
        yield f"{uri}: an earlier erasure had been stopped there; it is finished"
    for dataset in report.datasets:
        yield from _dataset_lines(dataset, report.dry_run)
    if report.also_written:
        yield f"the same person by number is written there as {', '.join(report.also_written)}"
    if report.not_found:
        yield f"on no row of these data sets (misspelt, or erased before): {', '.join(report.not_found)}"
    if report.models:
        yield "models behind the synthetic rows, which erasure does not change:"
        yield from (_model_line(model) for model in report.models)
    if report.receipt is not None:
        yield f"receipt (shown once; with the name it proves which entry of the log is whose): {report.receipt}"
        yield "reports, exports and contact sheets made before may still show them: delete them, or make them again"


def _dataset_lines(dataset: ErasedDataset, dry_run: bool) -> Iterator[str]:
    if not dataset.rows + dataset.rejects + dataset.shards:
        yield f"{dataset.uri}: nothing"
    else:
        verb = "would erase" if dry_run else "erased"
        yield (
            f"{dataset.uri}: {verb} {dataset.rows} {dataset.kind} rows ({dataset.bytes / 1e6:.2f} MB of pictures) and "
            f"{dataset.rejects} rejects; {dataset.shards} shards written anew"
        )
    if dataset.retired:
        yield f"  classes that keep their number without a name: {', '.join(map(str, dataset.retired))}"
    if dataset.emptied:
        names = ", ".join(dataset.emptied)
        yield f"  no row is left of {names}, who are on the same pictures: erase those names too if they are the person"
    if dataset.own_card:
        why = f"{DATASET_CARD} was changed by hand or is of an older version"
        yield f"  {why}: {'would be' if dry_run else 'was'} written anew"
    if dataset.unknown_files:
        yield f"  files that are not ours to change, look at them: {', '.join(dataset.unknown_files)}"


_ADVICE = {
    "yes": "learned from them: train it again without them",
    "perhaps": "may have learned from them: train it again without them",
    "unknown": "cannot be told whether it learned from them",
    "no": "did not learn from them",
}


def _model_line(model: Model) -> str:
    noise = " All its rows are of nobody in particular and stay." if model.from_noise else ""
    name = " ".join(part for part in (model.recipe, model.name) if part)
    return f"  {model.sha256[:12]} {name}: {_ADVICE[model.learned]}; {model.because}; {model.rows} rows.{noise}"
