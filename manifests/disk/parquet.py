"""How our Parquet files are written: pictures as they are, all else compressed, same rows same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 1000
_PICTURE_LEAVES = ("image.bytes", "mask")
_UNIQUE_LEAVES = (
    "image.path",
    "image_id",
    "sample_id",
    "image_sha256",
    "pixel_sha256",
    "relative_path",
    "item_id",
)


def open_writer(stream: IO[bytes], schema: pa.Schema, footer: Mapping[str, str] | None = None) -> pq.ParquetWriter:
    """A writer of ``schema``; ``footer`` goes into the file's key-value metadata beside the schema's own.

    Picture bytes are compressed already: they stay uncompressed, without dictionary and without statistics.
    Columns whose values never repeat get no dictionary; all but pictures are compressed with zstd.
    """
    metadata = {
        **(schema.metadata or {}),
        **{key.encode(): value.encode() for key, value in sorted((footer or {}).items())},
    }
    leaves = _leaves(schema)
    described = [leaf for leaf in leaves if leaf not in _PICTURE_LEAVES]
    dictionary = [leaf for leaf in described if leaf not in _UNIQUE_LEAVES]
    return pq.ParquetWriter(
        stream,
        schema.with_metadata(metadata),
        compression={leaf: "none" if leaf in _PICTURE_LEAVES else "zstd" for leaf in leaves},
        use_dictionary=cast(bool, dictionary),  # the stubs know no list here, pyarrow does
        write_statistics=described,
    )


def encode(table: pa.Table, footer: Mapping[str, str] | None = None) -> pa.Buffer:
    """``table`` as the bytes of a Parquet file: the same rows and footer give the same bytes."""
    sink = pa.BufferOutputStream()
    with open_writer(cast(IO[bytes], sink), table.schema, footer) as writer:
        if table.num_rows:  # an empty row group is what Hugging Face datasets stumbles over
            writer.write_table(table.combine_chunks(), row_group_size=ROWS_PER_GROUP)
    return sink.getvalue()


def footer_of(schema: pa.Schema) -> dict[str, str]:
    """The key-value metadata of a file's schema as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


@lru_cache(maxsize=32)
def _leaves(schema: pa.Schema) -> tuple[str, ...]:
    """Parquet's own paths of the leaf columns (``soft_label.list.element.idx``); an empty file is written to learn
    them."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return tuple(parquet.column(index).path for index in range(len(parquet)))
