"""The tables beside the rows (index, rejects, erasures): Parquet like the shards, but no tool takes them for rows.

Ray Data and DuckDB, given the folder of a data set, take every ``*.parquet`` below it for rows, and so does every
pattern ``**/*.parquet``; neither passes over folders such as ``_index``. So these files end in ``.table``, and
``*.parquet`` is the rows. Earlier versions called them ``.parquet`` as well.
"""

from __future__ import annotations

from manifests.storage.whole_files import Storage

SUFFIX = ".table"
_EARLIER_SUFFIX = ".parquet"


def earlier_path(path: str) -> str:
    """What earlier versions called the table at ``path``."""
    return path.removesuffix(SUFFIX) + _EARLIER_SUFFIX


def present_path(storage: Storage, path: str) -> str:
    """Where the table lies that this version writes to ``path``: under its earlier name where only that is there."""
    is_earlier = storage.stat(path) is None and storage.stat(earlier_path(path)) is not None
    return earlier_path(path) if is_earlier else path
