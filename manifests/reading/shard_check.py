"""Files of a data set held against its snapshot before anything is made of them: once in a process, piece by piece.

What a snapshot names has a SHA-256 there. A file that has another was changed since, by whom or what nobody knows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from manifests.disk.snapshots import BrokenDatasetError, FileEntry
from manifests.errors import UserError
from manifests.reading.dataset import Dataset

_PIECE = 4 << 20
_THREADS = 4
_right: set[tuple[str, str]] = set()
"""Place and digest of the files that this process has read through; threads may add to it at once."""


def check_shards(dataset: Dataset, numbers: Collection[int] | None = None) -> None:
    """Read the files of ``dataset`` (those of these ``numbers`` in its snapshot) and compare sizes and digests.

    One core does 0.5 to 2 GB/s; a file that this process has found right is not read again.

    Raises:
        BrokenDatasetError: a file is not the one that the snapshot names.
        UserError: it is missing or cannot be read, or the data set has not so many.
    """
    files = dataset.snapshot.files
    if numbers and max(numbers) >= len(files):
        raise UserError(
            f"{dataset.uri} has {len(files)} files of rows, and the plan reads number {max(numbers)}: "
            "it is not the data set that the plan was made of"
        )
    wanted = files if numbers is None else [files[number] for number in sorted(set(numbers))]
    unread = [entry for entry in wanted if _key(dataset, entry) not in _right]
    if unread:
        with ThreadPoolExecutor(min(_THREADS, len(unread), os.cpu_count() or 1)) as threads:
            for _ in threads.map(lambda entry: _check(dataset, entry), unread):
                pass


def _key(dataset: Dataset, entry: FileEntry) -> tuple[str, str]:
    return dataset.storage.locate(entry.path), entry.sha256


def _check(dataset: Dataset, entry: FileEntry) -> None:
    digest, size = hashlib.sha256(), 0
    with dataset.storage.open(entry.path) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    if (size, digest.hexdigest()) != (entry.bytes, entry.sha256):
        raise BrokenDatasetError(
            f"{dataset.storage.locate(entry.path)} is not the file that was written: {size} bytes of SHA-256 "
            f"{digest.hexdigest()[:12]}, the snapshot says {entry.bytes} of {entry.sha256[:12]}; put the right file "
            "back, or make the data set anew",
            entry.path,
        )
    _right.add(_key(dataset, entry))
