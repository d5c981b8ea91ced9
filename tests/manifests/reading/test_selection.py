"""Rows chosen from an open data set: filtered, read, handed to torch, and shown in a notebook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from torch.utils.data import DataLoader

from manifests.common.thumbnails import encode, open_image
from manifests.errors import UserError
from manifests.format.schema import ANNOTATION_SCHEMA
from manifests.reading.grid import PICTURES
from manifests.reading.query import rows_where
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset
from tests.manifests.manifest_rows import annotation_rows
from tests.manifests.people_rows import write


def test_conditions_are_those_of_show(tmp_path: Path) -> None:
    data = synthetic_dataset(str(tmp_path / "set"))  # 12 rows in two files
    chosen = data.where("camera = 2")
    assert chosen.rows.tolist() == rows_where(data, "camera = 2").tolist()
    both = chosen.where("identity <> '0007'")
    assert both.rows.tolist() == rows_where(data, "camera = 2 AND identity <> '0007'").tolist()
    assert 0 < len(both) < len(chosen) < 12
    assert repr(data) == f"<Dataset {data.uri}: 12 synthetic rows in 2 files>"
    assert repr(both) == f"<Selection of {data.uri}: {len(both)} of 12 synthetic rows>"
    with pytest.raises(UserError, match=r"^[^\n]*no field 'nothing'; known: [^\n]*quality\.reliability[^\n]*$"):
        data.where("quality.nothing > 1")


def test_they_are_read_from_every_file(tmp_path: Path) -> None:
    data = synthetic_dataset(str(tmp_path / "set"))
    chosen = data.where("camera = 2")
    kept = [row for row in data.read().to_pylist() if row["camera"] == 2]
    assert chosen.read().to_pylist() == kept
    assert chosen.read(["camera", "sample_id"]).column_names == ["camera", "sample_id"]
    assert data.where("camera = 99").read(["camera"]).num_rows == 0


def test_torch_gets_them(tmp_path: Path) -> None:
    data = synthetic_dataset(str(tmp_path / "set"))
    chosen = data.where("camera = 2")
    loader = DataLoader(chosen.to_torch(lambda image: image.float() / 255, columns=["sample_id", "image"]), 2)
    names = [name for batch in loader for name in batch["sample_id"]]
    assert names == chosen.read(["sample_id"]).column(0).to_pylist()
    assert len(data.to_torch()) == 12
    narrowed = chosen.to_torch(where="identity <> '0007'", label="compact")
    assert len(narrowed) == len(chosen.where("identity <> '0007'"))
    assert "label_index" in narrowed[0]
    with pytest.raises(UserError, match=r"holds no row of those chosen: nothing to export$"):
        data.where("camera = 99").to_torch()


def shown(value: Any) -> tuple[str, list[str]]:
    """What stands in a notebook's cell, and the pictures in it."""
    html = value._repr_html_()
    words = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    return words, re.findall(r'<img src="([^"]+)"', html)


def test_a_notebook_shows_pictures_spread_over_the_rows(tmp_path: Path) -> None:
    data = synthetic_dataset(str(tmp_path / "set"), sizes=(30, 18))
    words, pictures = shown(data)
    assert f"48 synthetic rows {data.uri} 3 identities, 2 cameras, 0 rejected of 48 planned" in words
    stored = data.read(["image"]).column(0).to_pylist()
    assert pictures == [encode(open_image(one["bytes"])) for one in stored[::2]]  # type: ignore[arg-type]
    assert words.endswith(f"{PICTURES} of 48, evenly spread: python -m manifests report shows all.")
    chosen = data.where("identity = '0007' AND camera = 1")
    words, pictures = shown(chosen)
    assert f"{len(chosen)} of 48 synthetic rows" in words
    assert "1 identity, 1 camera," in words
    assert "0007 camera 1" in words
    assert len(pictures) == len(chosen) < PICTURES


def test_odd_rows_do_no_harm(tmp_path: Path) -> None:
    def change(number: int, row: dict[str, Any]) -> None:
        row["identity"] = "<script>alert(1)</script>" if number else None
        if number == 1:
            row["image"]["bytes"] = b"no picture"

    data = source_dataset(str(tmp_path / "odd"), change)
    html = data._repr_html_()
    assert "<script" not in html
    assert html.count("no picture") == 1
    assert shown(data.where("camera = 99"))[1] == []


def test_annotations_show_their_masks(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(annotation_rows(2).to_pylist(), schema=ANNOTATION_SCHEMA)
    words, pictures = shown(write(str(tmp_path / "masks"), "annotation", table))
    assert "2 annotation rows" in words
    assert len(pictures) == 2


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    data = synthetic_dataset(str(tmp_path / "set"))
    Path(data.files()[0]).unlink()
    words, pictures = shown(data)
    assert (words.startswith("error: "), pictures) == (True, [])


def test_a_mistake_in_a_notebook_has_no_traceback() -> None:
    assert UserError("what, where, what to do")._render_traceback_() == ["error: what, where, what to do"]
