"""What a generated row says of itself, beside its pixels: whom it shows, what it was made from, what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from manifests.format.names import bare_name
from manifests.reading.people import SHOWN_DATASET

CONTENT = (
    pl.col("sources")
    .list.eval(pl.element().filter(pl.element().struct.field("role") == "content"))
    .list.first()
    .struct.field("sha256")
    .alias("content")
)
"""SHA-256 of the image whose person is shown; null where the row was made from none."""
FACTS = ("identity", "sources", "domain", "split", "target")
"""Columns that `row_facts` reads."""


def row_facts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """``identity``, ``dataset_id``, ``content``, ``domain``, ``split`` and ``target`` (a struct) of synthetic
    ``rows``."""
    return rows.select("identity", SHOWN_DATASET, CONTENT, "domain", "split", "target")


def person_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """Whom a source row, or the facts of a generated one, names: the data set and the bare name there, each empty where
    it is not said."""
    home = row["dataset_id"] or ""
    return home, bare_name(home, row["identity"] or "")


def shown_on(row: Mapping[str, Any], image: str | None) -> tuple[str, str]:
    """`person_of` the row; where it names nobody, the digest of the real ``image`` stands for whoever is on that."""
    home, name = person_of(row)
    return home, name or image or ""
