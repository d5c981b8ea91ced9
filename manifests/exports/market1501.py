"""Market-1501 folders: `bounding_box_train`, `query` and `bounding_box_test`, labels beside them as Parquet.

A name such as ``0002_c1s1_000451_03.jpg`` gives person, camera, sequence, frame and the box's number in that frame;
`manifests.exports.market1501_names` says what stands there. ``identities.parquet`` translates the people's numbers,
``cameras.parquet`` those of cameras that were numbered anew. An image that shows nobody in particular (a distractor;
most that were made from noise) is 0000, junk is -1. Files keep the format that the images have: a PNG is called
``.png``.

``labels.parquet`` has a row for each image: where it came from, and its soft label as
`manifests.expand` takes it. Camera and identity there are the data set's own, and null where they are not known.

Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from manifests.disk import parquet
from manifests.exports.file_names import stem_of
from manifests.exports.folder import Exported, write_note
from manifests.exports.market1501_names import (
    FOLDERS,
    NOBODY,
    UNKNOWN_CAMERA,
    file_stems,
    number_cameras,
    number_identities,
    own_numbers,
)
from manifests.exports.rows import chosen_rows, image_file, read_rows
from manifests.exports.signed import signed_folder
from manifests.format.schema import ROW_ID, SCHEMAS
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers, metadata
from manifests.signing.claims import Signer

LABELS, IDENTITIES, CAMERAS = "labels.parquet", "identities.parquet", "cameras.parquet"
_LAST_PERSON, _LAST_CAMERA, _ONE_DIGIT = 1501, 6, 9
_CARRIED = {
    "source": ("role", "sequence", "frame", "relative_path", "dataset_id", "licence", "consent_basis"),
    "synthetic": (
        *("hard_label", "num_classes", "soft_label", "soft_label_rest", "label_rule", "label_epsilon"),
        *("recipe", "sources", "subject_keys", "digital_source_type", "licence", "consent_basis"),
    ),
}
_IMAGE_COLUMNS = {
    "source": ("image_id", "image", "image_sha256"),
    "synthetic": (
        *("sample_id", "image", "image_sha256"),
        *("recipe", "recipe_version", "plan_id", "digital_source_type"),
    ),
}


def export_market1501(
    dataset: Dataset,
    output: str,
    where: str | None = None,
    renumber_cameras: bool = False,
    signer: Signer | None = None,
) -> Exported:
    """Write the rows for which ``where`` holds, or all, as a Market-1501 folder at ``output``.

    ``renumber_cameras`` calls all cameras of the data set 1 to N, and says in ``cameras.parquet`` which is which.
    One row group of images is in memory at a time, and the labels of all rows.

    Raises:
        UserError: `signed_folder`'s and `chosen_rows`' reasons.

    Example:
        >>> from pathlib import Path
        >>> from manifests import export_market1501, open_dataset
        >>> done = export_market1501(open_dataset("runs/synthetic"), "market1501", "identity = '0002'")
        >>> done.images, len(list(Path("market1501/bounding_box_train").glob("0002_*")))
        (3, 3)
    """
    rows = chosen_rows(dataset, where)
    people, cameras = number_identities(dataset), number_cameras(dataset, renumber_cameras)
    named = _named(dataset, rows, people, cameras)
    with signed_folder(output, dataset, signer, rows) as folder:
        for name in FOLDERS.values():
            (folder / name).mkdir()
        ids, files = named[ROW_ID[dataset.kind]].to_list(), []
        stems = [stem_of(dataset, *pair) for pair in zip(ids, named["file"].to_list(), strict=True)]
        for stem, row in zip(stems, read_rows(dataset, rows, _IMAGE_COLUMNS[dataset.kind]), strict=True):
            data, suffix = image_file(dataset, row, signer)
            files.append(f"{stem}.{suffix}")
            (folder / files[-1]).write_bytes(data)
        named = named.with_columns(file=pl.Series(files, dtype=pl.String))
        _write_table(folder / LABELS, named, dataset)
        _write_table(folder / IDENTITIES, people, dataset)
        if renumber_cameras:
            _write_table(folder / CAMERAS, cameras, dataset)
        patterns = {split: f"{FOLDERS[split]}/*" for split in FOLDERS if split in named["split"]}
        write_note(folder, dataset, "Market-1501 layout", _HOW_TO_READ, rows, patterns)
    return Exported(
        output, len(rows), (*_notes(named), *_notes_on_people(named, people), *_notes_on_cameras(named, cameras))
    )


def _named(dataset: Dataset, rows: RowNumbers, people: pl.DataFrame, cameras: pl.DataFrame) -> pl.DataFrame:
    """The columns of ``labels.parquet``; ``file`` is still without its suffix."""
    made_of = {"role": pl.String, "sequence": pl.Int32, "frame": pl.Int64, "relative_path": pl.String}
    listed = (ROW_ID[dataset.kind], "identity", "camera", "split", *_CARRIED[dataset.kind])
    nothing = [pl.lit(None, type_).alias(name) for name, type_ in made_of.items() if name not in listed]
    chosen = metadata(dataset).select(*listed, *nothing).collect()[rows]
    first = ("file", ROW_ID[dataset.kind], "number")
    return file_stems(chosen, dataset, people, cameras).select(*first, *(name for name in listed if name not in first))


def _write_table(path: Path, frame: pl.DataFrame, dataset: Dataset) -> None:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    known, plain = SCHEMAS[dataset.kind], {"large_string": pa.string()}
    fields = [
        known.field(one.name) if one.name in known.names else pa.field(one.name, plain.get(str(one.type), one.type))
        for one in table.schema
    ]
    with path.open("wb") as stream, parquet.open_writer(stream, pa.schema(fields), dataset.footer) as writer:
        writer.write_table(table.cast(pa.schema(fields)))


def _notes(named: pl.DataFrame) -> Iterator[str]:
    """What a person would stumble over."""
    if unlabelled := named.filter((pl.col("number") == NOBODY) & (pl.col("split") == "train")).height:
        yield (
            f"{unlabelled} training images show nobody in particular and are called 0000: "
            f"a reader that knows file names alone takes them for one person, {LABELS} has their soft labels"
        )
    if other := named.filter(~pl.col("file").str.ends_with(".jpg")).height:
        yield f"{other} images are no JPEG files: readers that look for *.jpg alone will not see them"


def _notes_on_people(named: pl.DataFrame, people: pl.DataFrame) -> Iterator[str]:
    here = people.join(named, "identity", "semi", maintain_order="left")
    anew = here.filter(own_numbers(here["identity"]).ne_missing(here["number"]))
    if anew.height:
        number, identity, _ = anew.row(0)
        yield (
            f"{anew.height} people are numbered anew, {identity!r} as {number:04d}, for not all names are different "
            f"whole numbers: {IDENTITIES} translates; in other folders these numbers may be other people"
        )
    if here.height and (last := int(here["number"][-1])) > _LAST_PERSON:
        yield f"person {last}: {_OWN_READERS} stop at people above {_LAST_PERSON}; {_REGISTER}"


def _notes_on_cameras(named: pl.DataFrame, cameras: pl.DataFrame) -> Iterator[str]:
    here = cameras.join(named, "camera", "semi", maintain_order="left")["number"].to_list()
    anew = f"--renumber-cameras calls the cameras 1 to {cameras.height}"
    way_out = anew if cameras.height <= _LAST_CAMERA else _REGISTER
    if UNKNOWN_CAMERA in here:
        yield f"camera 0 is called c0, as one that is not known; {anew}"
    if long := [number for number in here if number > _ONE_DIGIT]:
        yield f"camera {long[0]} is read as camera {str(long[0])[0]} by {_OWN_READERS}, which take one digit; {way_out}"
    elif beyond := [number for number in here if number > _LAST_CAMERA]:
        yield f"camera {beyond[0]}: {_OWN_READERS} stop at cameras above {_LAST_CAMERA}; {way_out}"


_OWN_READERS = "torchreid's and fast-reid's own readers of Market-1501"
_REGISTER = "`manifests.exports.torchreid.register` reads all"
_HOW_TO_READ = [
    "Names such as `0002_c1s1_000451_03.jpg` give person, camera, sequence, frame and box. 0000 is nobody in "
    "particular, -1 is junk, c0 a camera that is not known, s0 no recording. "
    f"`{IDENTITIES}` translates numbers to identities and classes, `{CAMERAS}` cameras that were numbered anew; "
    f"`{LABELS}` has identity, camera, soft label and origin of every file, by the data set's own names. "
    "`manifests.expand` gives dense soft labels, `manifests.exports.torchreid.register` hands the folder to torchreid.",
]
