"""Random access to rows by row group: a few groups in memory, the least recently used given up first."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.disk.shard_reading import open_shard
from manifests.disk.snapshots import FileEntry
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers
from manifests.storage.whole_files import Storage, open_storage


class RowGroups:
    """The row groups of a snapshot's files as tables, by number through all files.

    Groups are kept up to ``cache_bytes`` in all, but always the last one read. Picklable; a copy in another process,
    also a forked one, begins with an empty cache and opens the storage by itself.
    """

    def __init__(self, dataset: Dataset, columns: Sequence[str], cache_bytes: int) -> None:
        self._uri, self._kind = dataset.uri, dataset.kind
        self._columns, self._limit = list(columns), cache_bytes
        self._groups: list[tuple[FileEntry, int]] = []
        sizes: list[int] = []
        for entry in dataset.snapshot.files:
            with dataset.open(entry) as shard:
                self._groups += [(entry, group) for group in range(len(shard.group_rows))]
                sizes += shard.group_rows
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._storage: Storage | None = None
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()
        self._process = os.getpid()

    def places(self, rows: RowNumbers) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Group and offset in it of the rows with these numbers."""
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        return groups.astype(np.int32), (rows - self._starts[groups]).astype(np.int32)

    @property
    def cached_bytes(self) -> int:
        """Bytes of the groups that are in memory."""
        return sum(table.nbytes for table in self._cache.values())

    def __getitem__(self, number: int) -> pa.Table:
        """The table of one group.

        Raises:
            UserError: its file is missing or cannot be read.
        """
        if self._process != os.getpid():
            self._storage, self._cache, self._process = None, OrderedDict(), os.getpid()
        table = self._cache.get(number)
        if table is not None:
            self._cache.move_to_end(number)
            return table
        table = self._cache[number] = self._read(*self._groups[number])
        while len(self._cache) > 1 and self.cached_bytes > self._limit:
            self._cache.popitem(last=False)
        return table

    def _read(self, entry: FileEntry, group: int) -> pa.Table:
        if self._storage is None:
            self._storage = open_storage(self._uri)
        with open_shard(self._storage, entry, self._kind) as shard:
            # Without threads: those of Arrow do not live on in a forked process.
            return shard.read_group(group, self._columns, threads=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_storage": None, "_cache": OrderedDict()}
