"""`python -m manifests show`: what a data set holds, for people, as JSON, or as a sheet of pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl
from PIL import Image, ImageOps

from manifests.common.json_text import lenient_json
from manifests.common.pictures import PictureError, decode_picture
from manifests.errors import UserError
from manifests.format.schema import SCHEMAS
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers
from manifests.reading.rows import fetch_rows
from manifests.reading.summary import Spread, sample_rows, spread_places, summarize

_VALUES_SHOWN = 12


def as_json(dataset: Dataset, rows: int, chosen: RowNumbers | None = None) -> str:
    """The summary and ``rows`` sample rows, of the ``chosen`` rows if given, as one JSON object."""
    sample = sample_rows(dataset, rows, chosen).to_dicts()
    return lenient_json({**asdict(summarize(dataset, chosen)), "sample": sample}, indent=1)


def as_text(dataset: Dataset, rows: int, chosen: RowNumbers | None = None) -> str:
    """The summary and ``rows`` sample rows, of the ``chosen`` rows if given, for a terminal."""
    summary = summarize(dataset, chosen)
    head = (
        f"{summary.kind} data set at {summary.uri}\n"
        f"snapshot {summary.snapshot} of {summary.created}: {summary.rows} rows in {summary.files} files "
        f"({summary.bytes / 1e6:.1f} MB), {summary.rejected} rejected of {summary.planned} planned"
    )
    if summary.erased:
        head += f", {summary.erased} erased since"
    if chosen is not None:
        head += f"\n{summary.matching} rows match"
    lines = [(name, _listed(counts)) for name, counts in summary.counts.items()]
    if summary.identities:
        lines.append(("identity", _identity_line(summary.identities)))
    lines.append(("size", _listed(summary.sizes)))
    if summary.reasons:
        lines.append(("rejected", _listed(summary.reasons)))
    body = [f"{name:<14}{text}" for name, text in lines if text]
    body += [_score_line(name, spread) for name, spread in summary.scores.items()]
    table = sample_rows(dataset, rows, chosen)
    sample = [f"\n{as_table(table)}"] if len(table) else []
    return "\n".join([head, "", *body, *sample])


def as_table(frame: pl.DataFrame) -> str:
    """All rows and columns of ``frame`` for a terminal."""
    with pl.Config(tbl_hide_dataframe_shape=True, tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160, fmt_str_lengths=34):
        return str(frame)


def draw_sheet(
    dataset: Dataset,
    samples: int,
    output: str,
    chosen: RowNumbers | None = None,
    cell: tuple[int, int] = (96, 192),
) -> None:
    """Write a grid of ``samples`` pictures, evenly spread over all or the ``chosen`` rows, to ``output`` (PNG or JPEG).

    ``cell`` is (width, height) in pixels; pictures keep their aspect.

    Raises:
        UserError: the rows carry no pictures, there are none, or ``output`` cannot be written.
    """
    rows = dataset.snapshot.rows if chosen is None else len(chosen)
    if "image" not in SCHEMAS[dataset.kind].names or not rows:
        among = "" if chosen is None else " that match"
        raise UserError(f"{dataset.uri} holds no pictures to draw: {rows} {dataset.kind} rows{among}")
    places = spread_places(dataset, max(1, samples), chosen)
    pictures = fetch_rows(dataset, places, ["image"]).column("image").to_pylist()
    columns = min(len(pictures), max(1, round(math.sqrt(2.0 * len(pictures)))))
    gap, (width, height) = 4, cell
    lines = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, lines * (height + gap) + gap), "white")
    for index, picture in enumerate(pictures):
        tile = _tile((picture or {}).get("bytes"), cell)
        row, column = divmod(index, columns)
        sheet.paste(tile, (gap + column * (width + gap), gap + row * (height + gap)))
    try:
        sheet.save(Path(output))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {output}: {error}") from None


def _tile(data: bytes | None, cell: tuple[int, int]) -> Image.Image:
    """The picture in a cell of the sheet; grey where the bytes are no picture, which `validate` names."""
    try:
        return ImageOps.pad(Image.fromarray(decode_picture(data or b"")), cell, color="white")
    except PictureError:
        return Image.new("RGB", cell, "grey")


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{value}: {rows}" for value, rows in list(counts.items())[:_VALUES_SHOWN]]
    more = len(counts) - len(shown)
    return " · ".join([*shown, f"and {more} more"] if more else shown)


def _identity_line(identities: Mapping[str, int]) -> str:
    rows = sorted(identities.values())
    return f"{len(rows)} identities, {rows[0]} to {rows[-1]} rows each (median {rows[len(rows) // 2]})"


def _score_line(name: str, spread: Spread) -> str:
    numbers = "  ".join(f"{key} {getattr(spread, key):.4g}" for key in ("mean", "p0", "p25", "p50", "p75", "p100"))
    return f"{name:<22}{numbers}  ({spread.rows} rows)"
