"""`python -m manifests files URI`: where the rows lie, for any other tool."""

from __future__ import annotations

import argparse

from manifests.commands.arguments import add_uri
from manifests.reading.dataset import open_dataset

HELP = "the Parquet files of the newest snapshot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)


def run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.uri)
    dataset.check_present()
    print("\n".join(dataset.files()))
    return 0
