"""What a notebook shows of a data set: what it is in a line, and small pictures of rows spread evenly over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from manifests.common.thumbnails import encode, open_image
from manifests.errors import UserError
from manifests.format.schema import ROW_ID, SCHEMAS
from manifests.reading.rows import fetch_rows
from manifests.reading.selection import Selection
from manifests.reading.summary import spread_places

PICTURES = 24
_SHOWN = ("identity", "camera", "image", "mask")
_WHOLE = Markup('<div style="max-width:70em"><p><strong>{}</strong> {}<br>{}</p><div style="{}">{}</div>{}</div>')
_GRID = "display:flex;flex-wrap:wrap;gap:10px 8px"
_CELL = Markup('<figure style="margin:0;width:72px" title="{}">{}<figcaption style="{}">{}</figcaption></figure>')
_SHOT = Markup('<img src="{}" alt="{}" style="width:72px;height:144px;object-fit:contain;margin:0">')
_NONE = Markup('<div style="width:72px;height:144px;opacity:.6">no picture</div>')
_CAPTION = "font-size:11px;line-height:1.3;overflow-wrap:anywhere;opacity:.8"
_REST = Markup('<p style="opacity:.8">{} of {}, evenly spread: <code>python -m manifests report</code> shows all.</p>')


def grid(selection: Selection, pictures: int = PICTURES) -> str:
    """HTML of the ``selection``: its kind, place and counts, and up to ``pictures`` of its rows; one line where it
    cannot be read. Pictures are held in it, so that it asks nobody for anything."""
    try:
        return _drawn(selection, pictures)
    except UserError as error:
        return str(Markup("<p>error: {}</p>").format(str(error)))


def _drawn(selection: Selection, pictures: int) -> str:
    data, all_rows = selection.dataset, selection.dataset.snapshot.rows
    columns = [name for name in (ROW_ID[data.kind], *_SHOWN) if name in SCHEMAS[data.kind].names]
    rows = fetch_rows(data, spread_places(data, pictures, selection.rows), columns).to_pylist()
    cells = Markup().join(_cell(row, row[ROW_ID[data.kind]]) for row in rows)
    rest = _REST.format(len(rows), f"{len(selection):,}") if len(rows) < len(selection) else ""
    chosen = f" of {all_rows:,}" if len(selection) < all_rows else ""
    head = f"{len(selection):,}{chosen} {data.kind} rows"
    return str(_WHOLE.format(head, data.uri, _counts(selection), _GRID, cells, rest))


def _counts(selection: Selection) -> str:
    """How many people and cameras they show, and what else befell the rows that were planned."""
    snapshot, kind = selection.dataset.snapshot, selection.dataset.kind
    known = [name for name in ("identity", "camera") if name in SCHEMAS[kind].names]
    facts = selection.read(known) if known else pa.table({})
    said = [_many(pc.count_distinct(facts[name], mode="only_valid").as_py(), name) for name in known]
    said.append(f"{snapshot.rejected:,} rejected of {snapshot.planned:,} planned")
    return ", ".join([*said, *([f"{snapshot.erased:,} erased"] if snapshot.erased else [])])


def _many(count: int, name: str) -> str:
    plural = {"identity": "identities", "camera": "cameras"}[name]
    return f"{count:,} {name if count == 1 else plural}"


def _cell(row: Mapping[str, Any], name: str) -> Markup:
    data = (row["image"] or {}).get("bytes") if "image" in row else row.get("mask")
    small = open_image(data)
    camera = row.get("camera")
    said = [row.get("identity") or "", f"camera {camera}" if camera is not None else ""]
    words = list(filter(None, said))
    shot = _SHOT.format(encode(small), ", ".join(words) or name) if small else _NONE
    return _CELL.format(name, shot, _CAPTION, Markup("<br>").join(words))
