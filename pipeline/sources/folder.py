"""Any folder of images, with a table of labels beside it or without labels.

The table is CSV (with a header) or Parquet with the columns ``path`` (relative to the root), ``identity``
and ``camera``, and optionally ``split`` (train, query or gallery; train if absent), ``sequence``,
``frame`` and ``role`` (person, distractor or junk; person if absent); `pipeline.sources.label_table` says
how cells are read. Images that the table does not name become rejects, and so do those of which two rows
say different things. Without a table every image is an unlabelled training image, which is what a target
domain needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pipeline.sources.files import SPLITS, Entry, Fault, SourceFile, SourceRoot, faulty, finish, written_otherwise
from pipeline.sources.label_table import Label, Row, disagreement, names_by_number, read_label, read_rows
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions


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
    files = list(_listed(root, read_rows(options.labels)))
    listed = {file.relative_path for file in files}
    unlisted = Fault("not_listed", "the table of labels does not name it")
    files += [faulty(entry, "train", unlisted) for entry in entries if entry.relative_path not in listed]
    return finish(files, key=lambda file: file.relative_path)


def _listed(root: SourceRoot, rows: list[dict[str, str | None]]) -> Iterator[SourceFile]:
    """A file for each row; one for all rows about the same image where they disagree."""
    names = names_by_number(rows)
    root.remarks += written_otherwise(dict(names.values()))
    about = defaultdict[str, list[tuple[int, Entry, Row]]](list)
    for number, row in enumerate(rows, start=1):
        entry = _entry(root, str(row["path"]))
        about[entry.relative_path].append((number, entry, row))
    for found in about.values():
        labels = {number: read_label(row, names) for number, _, row in found}
        usable = {number: label for number, label in labels.items() if not isinstance(label, Fault)}
        if len(usable) > 1 and (fault := disagreement(usable)):
            yield faulty(found[0][1], next(iter(usable.values())).split, fault)
            continue
        for number, entry, one in found:
            yield _file(entry, one, labels[number])


def _entry(root: SourceRoot, path: str) -> Entry:
    entry = root.entry(path)
    if entry.fault and "\\" in path:
        return Entry(
            path, -1, Fault("bad_path", f"write paths below the root, with /: {_slashed(path)}", readable=False)
        )
    return entry


def _slashed(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./")


def _file(entry: Entry, row: Row, label: Label | Fault) -> SourceFile:
    if isinstance(label, Fault):
        return faulty(entry, next((name for name in SPLITS if name == row.get("split")), "train"), label)
    return SourceFile(entry.relative_path, entry.size, *label, entry.fault)


LAYOUT = Layout(
    name="folder",
    scan=scan,
    recognises=lambda root: False,
    options=("labels",),
)
