"""Market-1501 folders: `bounding_box_train`, `query` and `bounding_box_test`, labels beside them as Parquet.

A name such as ``0002_c1s1_000451_03.jpg`` gives person, camera, sequence, frame and the box's number in that frame.

- The person's number is the identity itself where all identities are numbers (``0002``, as in Market-1501, so that an
  export stands beside the real set); otherwise it is class number + 1, or the place among the sorted identities.
  ``identities.parquet`` translates. An image that shows nobody in particular (a distractor; most that were made from
  noise) is 0000, junk is -1.
- A camera that is not known is c0. Sequence and frame are the row's own; where there are none, as on all synthetic
  rows, they are s0 and the row's number, so that no name is one of the real set.
- Files keep the format that the images have: a PNG is called ``.png``.

``labels.parquet`` has a row for each image: where it came from, and its soft label as
`manifests.expand` takes it.

Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa

from manifests.disk import parquet
from manifests.exports.file_names import stem_of
from manifests.exports.folder import Exported, new_folder, write_note
from manifests.exports.rows import chosen_rows, image_file, read_rows
from manifests.format.schema import ROW_ID, SCHEMAS
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers, metadata

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
LABELS, IDENTITIES = "labels.parquet", "identities.parquet"
NOBODY, JUNK = 0, -1
_CARRIED = {
    "source": ("licence", "consent_basis"),
    "synthetic": (
        *("hard_label", "num_classes", "soft_label", "soft_label_rest", "label_rule", "label_epsilon"),
        *("recipe", "sources", "subject_keys", "digital_source_type", "licence", "consent_basis"),
    ),
}
_IMAGE_COLUMNS = {
    "source": ("image_id", "image", "image_sha256"),
    "synthetic": ("sample_id", "image", "image_sha256", "recipe", "recipe_version"),
}


def export_market1501(dataset: Dataset, output: str, where: str | None = None) -> Exported:
    """Write the rows for which ``where`` holds, or all, as a Market-1501 folder at ``output``.

    One row group of images is in memory at a time, and the labels of all rows.

    Raises:
        UserError: `new_folder`'s and `chosen_rows`' reasons.

    Example:
        >>> from pathlib import Path
        >>> from manifests import export_market1501, open_dataset
        >>> done = export_market1501(open_dataset("runs/synthetic"), "market1501", "identity = '0002'")
        >>> done.images, len(list(Path("market1501/bounding_box_train").glob("0002_*")))
        (3, 3)
    """
    rows = chosen_rows(dataset, where)
    people = number_identities(dataset)
    named = _named(dataset, rows, people)
    with new_folder(output) as folder:
        for name in FOLDERS.values():
            (folder / name).mkdir()
        ids, files = named[ROW_ID[dataset.kind]].to_list(), []
        stems = [stem_of(dataset, *pair) for pair in zip(ids, named["file"].to_list(), strict=True)]
        for stem, row in zip(stems, read_rows(dataset, rows, _IMAGE_COLUMNS[dataset.kind]), strict=True):
            data, suffix = image_file(dataset, row)
            files.append(f"{stem}.{suffix}")
            (folder / files[-1]).write_bytes(data)
        named = named.with_columns(file=pl.Series(files, dtype=pl.String))
        _write_table(folder / LABELS, named, dataset)
        _write_table(folder / IDENTITIES, people, dataset)
        patterns = {split: f"{FOLDERS[split]}/*" for split in FOLDERS if split in named["split"]}
        write_note(folder, dataset, "Market-1501 layout", _HOW_TO_READ, rows, patterns)
    return Exported(output, len(rows), tuple(_notes(named)))


def number_identities(dataset: Dataset) -> pl.DataFrame:
    """Columns ``number`` (in file names), ``identity`` and ``class`` (null where rows have no labels), by number.

    The whole data set is numbered, so that a selection of rows gives nobody another number.
    """
    label = pl.col("hard_label").max() if dataset.kind == "synthetic" else pl.lit(None, pl.Int32)
    known = metadata(dataset).drop_nulls("identity")
    people = known.group_by("identity").agg(label.alias("class")).sort("identity").collect()
    own = people["identity"].str.extract(r"^([0-9]{1,9})$").cast(pl.Int32)
    if own.null_count() or own.n_unique() < len(own) or (own <= NOBODY).any():
        labelled = not people["class"].null_count() and (people["class"] >= 0).all()
        own = people["class"] + 1 if labelled else pl.Series(range(1, len(people) + 1), dtype=pl.Int32)
    return people.select(own.alias("number"), "identity", "class").sort("number")


def _named(dataset: Dataset, rows: RowNumbers, people: pl.DataFrame) -> pl.DataFrame:
    """The columns of ``labels.parquet``; ``file`` is still without its suffix."""
    id_column = ROW_ID[dataset.kind]
    numbers = dict(people.select("identity", "number").iter_rows())
    role, sequence, frame = (
        pl.col(name) if dataset.kind == "source" else pl.lit(None).alias(name) for name in ("role", "sequence", "frame")
    )
    carried = _CARRIED[dataset.kind]
    columns = (id_column, "row_number", "identity", "camera", "split", *carried)
    chosen = metadata(dataset).with_row_index("row_number").select(*columns, role, sequence, frame).collect()[rows]
    number = pl.col("identity").replace_strict(numbers, default=NOBODY, return_dtype=pl.Int32)
    placed = chosen.with_columns(
        number=pl.when(pl.col("role") == "junk").then(JUNK).otherwise(number),
        camera=pl.col("camera").fill_null(0),
        sequence=pl.col("sequence").cast(pl.Int32).fill_null(0),
        frame=pl.col("frame").cast(pl.Int64).fill_null(pl.col("row_number").cast(pl.Int64)),
    )
    file = _file(max(numbers.values(), default=0))
    return placed.select(file, id_column, "number", "identity", "camera", "split", *carried)


def _file(highest: int) -> pl.Expr:
    """Folder and name without suffix; ``highest`` is the highest number of a person."""
    named_person = _digits("number", max(4, len(str(highest))))
    person = pl.when(pl.col("number") == JUNK).then(pl.lit("-1")).otherwise(named_person)
    view = pl.format("c{}s{}", "camera", "sequence")
    box = pl.col("row_number").cum_count().over("split", "number", "camera", "sequence", "frame")
    stem = pl.concat_str(person, view, _digits("frame", 6), box.cast(pl.String).str.zfill(2), separator="_")
    return pl.concat_str(pl.col("split").replace_strict(FOLDERS, default=None), stem, separator="/").alias("file")


def _digits(column: str, width: int) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.zfill(width)


def _write_table(path: Path, frame: pl.DataFrame, dataset: Dataset) -> None:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    known, plain = SCHEMAS[dataset.kind], {"large_string": pa.string()}
    fields = [
        known.field(one.name) if one.name in known.names else pa.field(one.name, plain.get(str(one.type), one.type))
        for one in table.schema
    ]
    with path.open("wb") as stream, parquet.open_writer(stream, pa.schema(fields), dataset.footer) as writer:
        writer.write_table(table.cast(pa.schema(fields)))


def _notes(named: pl.DataFrame) -> list[str]:
    """What a person would stumble over."""
    notes = []
    if unlabelled := named.filter((pl.col("number") == NOBODY) & (pl.col("split") == "train")).height:
        notes.append(
            f"{unlabelled} training images show nobody in particular and are called 0000: "
            f"a reader that knows file names alone takes them for one person, {LABELS} has their soft labels"
        )
    if other := named.filter(~pl.col("file").str.ends_with(".jpg")).height:
        notes.append(f"{other} images are no JPEG files: readers that look for *.jpg alone will not see them")
    return notes


_HOW_TO_READ = [
    "Names such as `0002_c1s1_000451_03.jpg` give person, camera, sequence, frame and box. 0000 is nobody in "
    "particular, -1 is junk, c0 a camera that is not known, s0 no recording. "
    f"`{IDENTITIES}` translates numbers to identities and classes; `{LABELS}` has identity, camera, soft label and "
    "origin of every file. `manifests.expand` gives dense soft labels, "
    "`manifests.exports.torchreid.register` hands the folder to torchreid.",
]
