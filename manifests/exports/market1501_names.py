"""What people, cameras and files are called in the layout of Market-1501.

- The person's number is the identity itself where all identities are numbers (``0002``, as in Market-1501, so that an
  export stands beside the real set); otherwise it is class number + 1, or the place among the sorted identities. It has
  four digits, more from 10000 on.
- A camera keeps its number, or all are numbered from 1. One that is not known is c0.
- Sequence and frame are the row's own. Where there is no sequence it is s0, which no real one is called; where there is
  no frame, as on all synthetic rows, it is a number of twelve digits out of the row's id, the first of them no 0:
  of two data sets, however alike, no two pictures are called the same.
- The box is that of the file that the image was brought as, where that was named in this way; others are counted.
"""

from __future__ import annotations

import polars as pl

from manifests.format.schema import ROW_ID
from manifests.reading.dataset import Dataset
from manifests.reading.query import metadata

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
NOBODY, JUNK = 0, -1
UNKNOWN_CAMERA = 0
_FIRST_FRAME = 10**11
"""Of frames out of ids; above that are 9e11, and no tool that reads a frame as a number writes fewer digits."""


def number_identities(dataset: Dataset) -> pl.DataFrame:
    """Columns ``number`` (in file names), ``identity`` and ``class`` (null where rows have no labels), by number.

    The whole data set is numbered, so that a selection of rows gives nobody another number.
    """
    label = pl.col("hard_label").max() if dataset.kind == "synthetic" else pl.lit(None, pl.Int32)
    known = metadata(dataset).drop_nulls("identity")
    people = known.group_by("identity").agg(label.alias("class")).sort("identity").collect()
    own = own_numbers(people["identity"])
    if own.null_count() or own.n_unique() < len(own) or (own <= NOBODY).any():
        labelled = not people["class"].null_count() and (people["class"] >= 0).all()
        own = people["class"] + 1 if labelled else pl.Series(range(1, len(people) + 1), dtype=pl.Int32)
    return people.select(own.alias("number"), "identity", "class").sort("number")


def own_numbers(identities: pl.Series) -> pl.Series:
    """The numbers that names of people are; null for a name that is none of up to nine digits."""
    return identities.str.extract(r"^([0-9]{1,9})$").cast(pl.Int32)


def number_cameras(dataset: Dataset, renumber: bool) -> pl.DataFrame:
    """Columns ``number`` (in file names) and ``camera`` of all known cameras of the data set, by number."""
    known = metadata(dataset).select("camera").drop_nulls().unique().sort("camera").collect()
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int32) if renumber else pl.col("camera")
    return known.select(number.alias("number"), "camera")


def file_stems(rows: pl.DataFrame, dataset: Dataset, people: pl.DataFrame, cameras: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with ``number`` and ``file``: the person's number, and folder and name without suffix.

    ``rows`` have ``role``, ``sequence``, ``frame`` and ``relative_path``, null throughout where their kind has none.
    A row whose values make no name has a null there.
    """
    numbers = dict(people.select("identity", "number").iter_rows())
    in_names = dict(cameras.select("camera", "number").iter_rows())
    person = pl.col("identity").replace_strict(numbers, default=NOBODY, return_dtype=pl.Int32)
    of_id = pl.col(ROW_ID[dataset.kind]).str.head(10).str.to_integer(base=16, dtype=pl.Int64, strict=False)
    named = rows.with_columns(
        number=pl.when(pl.col("role") == "junk").then(JUNK).otherwise(person),
        _camera=pl.col("camera").replace_strict(in_names, default=UNKNOWN_CAMERA, return_dtype=pl.Int32),
        _frame=pl.coalesce(_text("frame", 6), (_FIRST_FRAME + of_id % (9 * _FIRST_FRAME)).cast(pl.String)),
    ).with_columns(_before=_before_box("_camera"), _own=_own_box())
    box = pl.coalesce("_own", _counted())
    stem = pl.concat_str("_before", box, separator="_")
    folder = pl.col("split").replace_strict(FOLDERS, default=None, return_dtype=pl.String)
    return named.with_columns(file=pl.concat_str(folder, stem, separator="/")).drop("^_.*$")


def _text(column: str, width: int) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.zfill(width)


def _before_box(camera: str) -> pl.Expr:
    """A name but for its last part."""
    person = pl.when(pl.col("number") == JUNK).then(pl.lit("-1")).otherwise(_text("number", 4))
    view = pl.format("c{}s{}", camera, pl.col("sequence").cast(pl.Int32).fill_null(0))
    return pl.concat_str(person, view, "_frame", separator="_")


def _own_box() -> pl.Expr:
    """The last part of the name that a file was brought under, where the rest of it says what ours says, too, and no
    other file says all of it."""
    name = pl.col("relative_path").str.extract(r"([^/]*)\.[^./]*$")
    before = _before_box("camera") + "_"
    box = pl.when(name.str.starts_with(before)).then(name.str.strip_prefix(before).str.extract(r"^([0-9]{2,9})$"))
    return pl.when(pl.struct("split", before, box.alias("box")).is_unique()).then(box)


def _counted() -> pl.Expr:
    """Numbers from 1 for the files of a frame that have none, or from one above those that some have."""
    frame = ("split", "_before")
    highest = pl.col("_own").cast(pl.Int64).max().over(frame).fill_null(0)
    place = pl.col("_own").is_null().cast(pl.Int64).cum_sum().over(frame)
    return (highest + place).cast(pl.String).str.zfill(2)
