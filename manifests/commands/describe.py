"""`python -m manifests describe URI`: write again what lies beside the rows; older versions wrote less."""

from __future__ import annotations

import argparse

from manifests.attestation import STATEMENT
from manifests.card import CARD, SAMPLES_META, write_inspection_files
from manifests.commands.arguments import add_uri
from manifests.croissant import CROISSANT
from manifests.dataset import open_dataset

HELP = "write card, index, Croissant metadata and provenance statement again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)


def run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    write_inspection_files(dataset)
    print("\n".join(dataset.storage.locate(name) for name in (CARD, SAMPLES_META, CROISSANT, STATEMENT)))
    return 0
