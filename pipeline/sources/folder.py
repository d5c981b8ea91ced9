"""Any folder of images, with a table of labels beside it or without labels.

The table is CSV (with a header) or Parquet with the columns ``path`` (relative to the root), ``identity``
and ``camera``, and optionally ``split`` (train, query or gallery; train if absent), ``sequence``,
``frame`` and ``role`` (person, distractor or junk; person if absent). Empty cells are unknown. Images
that the table does not name become rejects. Without a table every image is an unlabelled training image,
which is what a target domain needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from manifests.errors import UserError, first_line
from pipeline.sources.files import ROLES, SPLITS, Fault, SourceFile, SourceRoot, faulty, finish
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

REQUIRED = ("path", "identity", "camera")
OPTIONAL = ("split", "sequence", "frame", "role")


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of a folder and of all folders below it.

    Raises:
        LayoutError: there is no image.
        UserError: the table of labels cannot be used.
    """
    entries = list(root.images(recursive=True))
    if options.labels is None:
        if not entries:
            raise LayoutError("looked for images in it and below, found none")
        files = [SourceFile(*entry[:2], split="train", fault=entry.fault) for entry in entries]
        return finish(files, key=lambda file: file.relative_path)
    files = [_file(root, row) for row in _rows(options.labels)]
    listed = {file.relative_path for file in files}
    unlisted = Fault("not_listed", "the table of labels does not name it")
    files += [faulty(entry, "train", unlisted) for entry in entries if entry.relative_path not in listed]
    return finish(files, key=lambda file: file.relative_path)


def _rows(path: Path) -> list[dict[str, str | None]]:
    """The table's rows as text; None where a cell is empty or a column absent."""
    try:
        if path.suffix.lower() == ".parquet":
            table = pl.read_parquet(path)
        elif path.suffix.lower() == ".csv":
            table = pl.read_csv(path, infer_schema=False)
        else:
            raise UserError(f"--labels {path}: a .csv or .parquet file is needed")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"cannot read the labels {path}: {first_line(error)}") from None
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise UserError(f"the labels {path} have no column {missing[0]!r}; there are {', '.join(table.columns)}")
    kept = [name for name in REQUIRED + OPTIONAL if name in table.columns]
    text = table.select(pl.col(kept).cast(pl.String).str.strip_chars().replace("", None))
    if text["path"].has_nulls():
        raise UserError(f"the labels {path} have a row without a path")
    return text.to_dicts()


def _file(root: SourceRoot, row: Mapping[str, str | None]) -> SourceFile:
    entry = root.entry(str(row["path"]))
    split = next((name for name in SPLITS if name == (row.get("split") or "train")), None)
    role = next((name for name in ROLES if name == (row.get("role") or "person")), None)
    if split is None:
        return faulty(entry, "train", Fault("bad_label", f"split {row['split']!r} is none of {', '.join(SPLITS)}"))
    if role is None:
        return faulty(entry, split, Fault("bad_label", f"role {row['role']!r} is none of {', '.join(ROLES)}"))
    try:
        camera, sequence, frame = (_number(row.get(name)) for name in ("camera", "sequence", "frame"))
    except ValueError as error:
        return faulty(entry, split, Fault("bad_label", str(error)))
    path, size, fault = entry
    return SourceFile(path, size, split, role, row["identity"], camera, sequence, frame, fault)


def _number(text: str | None) -> int | None:
    """A whole number; ``3.0`` is one, as tables with gaps come out of data frames that way."""
    if text is None:
        return None
    value = float(text)
    if not value.is_integer() or not 0 <= value < 2**31:
        raise ValueError(f"{text!r} is no whole number from 0 to 2147483647")
    return int(value)


LAYOUT = Layout(
    name="folder",
    scan=scan,
    recognises=lambda root: False,
    options=("labels",),
)
