"""The files that a data set consists of, each with its digest: what its metadata for other tools names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from manifests.reading.dataset import Dataset

_CHUNK = 1 << 20


class Product(NamedTuple):
    """A file of a data set: its path in it, its size in bytes, its SHA-256 in hexadecimal."""

    path: str
    bytes: int
    sha256: str


def products(dataset: Dataset, beside: Iterable[str] = ()) -> list[Product]:
    """The snapshot's shards and rejects as it records them, then the files ``beside`` them, which are read.

    Raises:
        UserError: a file ``beside`` them is not there.
    """
    entries = (*dataset.snapshot.files, *dataset.snapshot.rejects)
    return [
        *(Product(entry.path, entry.bytes, entry.sha256) for entry in entries),
        *(_measured(dataset, path) for path in beside),
    ]


def _measured(dataset: Dataset, path: str) -> Product:
    digest, size = hashlib.sha256(), 0
    with dataset.storage.open(path) as source:
        while data := source.read(_CHUNK):
            digest.update(data)
            size += len(data)
    return Product(path, size, digest.hexdigest())
