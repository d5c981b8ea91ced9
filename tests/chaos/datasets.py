"""What a data set holds beside what it should hold, row by row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import polars as pl

from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.format.schema import ROW_ID
from manifests.reading.dataset import open_dataset


class Found(NamedTuple):
    """Rows that are missing, rows that are there twice or should not be there, and what else is wrong."""

    lost: int = 0
    doubled: int = 0
    faults: tuple[str, ...] = ()


WHOLE = Found()


def look(uri: str, expected: Collection[str], digest: str | None = None) -> Found:
    """Compare the data set at ``uri`` with the row ids that it should hold and, if given, with its digest.

    Rows are counted twice, as our reader sees them and as any reader of ``data/*.parquet``; the worse count stands.
    """
    try:
        dataset = open_dataset(uri)
        key = ROW_ID[dataset.kind]
        ours = Counter(dataset.read([key]).column(key).to_pylist())
        theirs = Counter(pl.scan_parquet(f"{uri}/data/*.parquet").select(key).collect()[key].to_list())
        faults = [str(fault) for fault in validate(uri).faults]
    except UserError as error:
        return Found(lost=len(expected), faults=(str(error),))
    if digest is not None and dataset.digest() != digest:
        faults.append("other bytes than those of an unbroken run")
    return Found(
        max(len(set(expected) - set(one)) for one in (ours, theirs)),
        max(sum(one.values()) - len(set(one) & set(expected)) for one in (ours, theirs)),
        tuple(faults),
    )


def compare_folders(folder: Path, whole: dict[str, str]) -> Found:
    """A folder beside the files that it should hold, as `digests` gives them."""
    return compare(digests(folder), whole)


def compare(there: dict[str, str], whole: dict[str, str]) -> Found:
    """Digests by path beside those that should be there."""
    changed = [path for path in set(there) & set(whole) if there[path] != whole[path]]
    faults = tuple(f"{path} has other bytes than those of an unbroken run" for path in sorted(changed))
    return Found(len(set(whole) - set(there)), len(set(there) - set(whole)), faults)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` by its path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
