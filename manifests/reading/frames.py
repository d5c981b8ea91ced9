"""Arrow tables for polars."""

from __future__ import annotations

import polars as pl
import pyarrow as pa


def frame_of(table: pa.Table) -> pl.DataFrame:
    """``table`` as a frame; what it holds is not copied where polars can share it."""
    return pl.DataFrame(pl.from_arrow(table))
