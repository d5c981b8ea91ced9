"""`python -m manifests describe URI`: write again what lies beside the rows; older versions wrote less.

A README.md that was changed by hand stays as it is, as does one of an older version, of which nobody can tell; with
--force it is written anew too.
"""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_uri
from manifests.describing.attestation import STATEMENT
from manifests.describing.card import DATASET_CARD, SAMPLES_META, card_is_ours, write_inspection_files
from manifests.describing.croissant import CROISSANT
from manifests.reading.dataset import open_dataset

HELP = "write card, index, Croissant metadata and provenance statement again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    parser.add_argument("--force", action="store_true", help=f"write {DATASET_CARD} anew, whoever wrote what is there")


def run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    card = options.force or card_is_ours(dataset)
    write_inspection_files(dataset, card)
    written = (*([DATASET_CARD] if card else []), SAMPLES_META, CROISSANT, STATEMENT)
    print("\n".join(dataset.storage.locate(name) for name in written))
    if not card:
        where = dataset.storage.locate(DATASET_CARD)
        print(f"note: {where} was changed by hand or is of an older version and stays: --force writes it anew")
    return 0
