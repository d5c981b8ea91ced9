"""A table of labels (CSV with a header, or Parquet) as rows of text: what a cell means, and which rows disagree.

Tools write the same thing in many ways. Empty and ``nan`` are unknown. A person's number is ``1`` whether it is written
``1``, ``1.0`` (data frames with gaps) or, in the same table, ``0001``: the name is the longest form that the table has.
-1 is junk, as in the published sets. 0 is a false detection there and the first person elsewhere: the column ``role``
has to say which.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from manifests.errors import UserError, first_line
from manifests.format.names import person_number
from pipeline.sources.files import ROLES, SPLITS, Fault, Role, Split

REQUIRED = ("path", "identity", "camera")
OPTIONAL = ("split", "sequence", "frame", "role")
_UNKNOWN = ("", "nan", "<na>", "none", "null")
"""What data frames write where they know nothing."""
Row = Mapping[str, str | None]


class Label(NamedTuple):
    """What a row says of its image, in the order of `SourceFile`."""

    split: Split
    role: Role
    identity: str | None
    camera: int | None
    sequence: int | None
    frame: int | None


def read_rows(path: Path) -> list[dict[str, str | None]]:
    """The table's rows as text; None where a cell says nothing or a column is absent.

    Raises:
        UserError: no table, one without a needed column, a row without a path, or one of whom nobody knows whether 0
            is a person.
    """
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
    cells = pl.col([name for name in kept if name != "path"])
    rows = text.with_columns(pl.when(~cells.str.to_lowercase().is_in(_UNKNOWN)).then(cells)).to_dicts()
    for number, row in enumerate(rows, start=1):
        if person_number(row["identity"] or "") == 0 and not row.get("role"):
            raise UserError(
                f"the labels {path}: identity {row['identity']} in row {number} may be a person or, as in "
                "Market-1501, a false detection: say which by a column role (person or distractor)"
            )
    return rows


def names_by_number(rows: Iterable[Row]) -> dict[int, tuple[str, set[str]]]:
    """For each number that people are called by, the name and the forms that it is written in."""
    forms = defaultdict[int, set[str]](set)
    for row in rows:
        text = re.sub(r"\.0+$", "", row["identity"] or "")
        if (number := person_number(text)) is not None:
            forms[number].add(text)
    return {number: (max(written, key=len), written) for number, written in forms.items()}


def read_label(row: Row, names: Mapping[int, tuple[str, set[str]]]) -> Label | Fault:
    """What a row says, or why it says nothing that can be used; ``names`` are those of `names_by_number`."""
    split = next((name for name in SPLITS if name == (row.get("split") or "train")), None)
    role = next((name for name in ROLES if name == (row.get("role") or "person")), None)
    if split is None:
        return Fault("bad_label", f"split {row['split']!r} is none of {', '.join(SPLITS)}")
    if role is None:
        return Fault("bad_label", f"role {row['role']!r} is none of {', '.join(ROLES)}")
    try:
        camera, sequence, frame = (_number(name, row.get(name)) for name in ("camera", "sequence", "frame"))
        role, identity = _person(row["identity"], role, names)
    except ValueError as error:
        return Fault("bad_label", str(error))
    return Label(split, role, identity, camera, sequence, frame)


def _person(text: str | None, role: Role, names: Mapping[int, tuple[str, set[str]]]) -> tuple[Role, str | None]:
    text = re.sub(r"\.0+$", "", text) if text is not None and re.fullmatch(r"-?[0-9]+\.0+", text) else text
    if text is None or role == "junk":
        return role, None
    if text == "-1":
        return "junk" if role == "person" else role, None
    if re.fullmatch(r"-[0-9]+", text):
        raise ValueError(f"identity {text!r} is nobody's: -1 is junk, people are numbered from 0")
    number = person_number(text)
    if number == 0 and role == "distractor":
        return role, None
    return role, names[number][0] if number is not None else text


def _number(name: str, text: str | None) -> int | None:
    """A whole number; ``3.0`` is one, as tables with gaps come out of data frames that way."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value.is_integer() or not 0 <= value < 2**31:
        within = re.fullmatch(r"[^0-9.+-]*0*([0-9]{1,9})", text)
        instead = f": write {within[1]}" if within else ""
        raise ValueError(f"{name} {text!r} is no whole number from 0 to 2147483647{instead}")
    return int(value)


def disagreement(rows: Mapping[int, Label]) -> Fault | None:
    """Why rows about one image, by their number in the table, cannot all be right; None where they say the same."""
    (first, label), *others = rows.items()
    for number, other in others:
        for name, one, two in zip(Label._fields, label, other, strict=True):
            if one != two:
                message = f"rows {first} and {number} of the labels disagree: {name} {one} and {two}"
                return Fault("contradictory_labels", message)
    return None
