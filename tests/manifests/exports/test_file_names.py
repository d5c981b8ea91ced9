"""Whatever a stranger's rows say, an export writes names of its own form, or nothing."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.disk.snapshots import BrokenDatasetError
from manifests.errors import UserError
from manifests.exports.coco import export_coco
from manifests.exports.huggingface import export_huggingface
from manifests.exports.market1501 import export_market1501
from manifests.exports.webdataset import export_webdataset
from manifests.writing.run import Dataset
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset

EXPORTS: dict[str, Callable[[Dataset, str], Any]] = {
    "coco": export_coco,
    "market1501": export_market1501,
    "webdataset": export_webdataset,
    "huggingface": export_huggingface,
}
_TAR_NAME = re.compile(r"[0-9a-f]{32}\.(jpg|png|json|mask\.png)")


def changed(uri: str, **values: Any) -> Dataset:
    """Eight source rows, the second with other values."""
    return source_dataset(uri, lambda number, row: row.update(values) if number == 1 else None)


@pytest.mark.parametrize("path", ["../../x.png", "/etc/x", "a\0b.jpg", "a\nb", "", "x.exe", "..", "a\\b", None])
def test_a_picture_is_named_by_what_it_is(uri: str, tmp_path: Path, path: str | None) -> None:
    dataset = source_dataset(uri, lambda number, row: row["image"].update(path=path))
    export_webdataset(dataset, str(tmp_path / "tar"))
    names = []
    for shard in (tmp_path / "tar").glob("*.tar"):
        with tarfile.open(shard) as tar:
            names += tar.getnames()
    assert len(names) == 16
    assert all(_TAR_NAME.fullmatch(name) for name in names)
    export_market1501(dataset, str(tmp_path / "market"))
    assert len(list((tmp_path / "market").rglob("*.jpg"))) == 8


@pytest.mark.parametrize(
    ("form", "values"),
    [
        *(
            (form, {"image_id": name})
            for form in ("webdataset", "coco")
            for name in ("../../x", "/x", "a\0b", "a\nb", "", "A" * 32)
        ),
        *((form, {"split": "../y"}) for form in ("webdataset", "coco", "market1501")),
        *(("market1501", values) for values in ({"camera": -1}, {"sequence": -2}, {"frame": -3})),
    ],
)
def test_names_of_no_form_are_refused(uri: str, tmp_path: Path, form: str, values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"row '[^\n\x00]*' cannot be exported: [^\n\x00]+$"):
        EXPORTS[form](changed(uri, **values), str(tmp_path / "out" / "folder"))
    assert list(tmp_path.glob("out/*")) == []


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("place", [100, -100])
def test_a_shard_with_another_byte_is_not_handed_on(uri: str, tmp_path: Path, form: str, place: int) -> None:
    dataset = synthetic_dataset(uri)
    path = Path(dataset.files()[1])
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(BrokenDatasetError, match=path.name):
        EXPORTS[form](dataset, str(tmp_path / "out" / "folder"))
    assert list(tmp_path.glob("out/*")) == []
    data[place] ^= 1
    path.write_bytes(data)
    assert EXPORTS[form](dataset, str(tmp_path / "out" / "folder")).images == 12


def test_metadata_of_other_files_is_not_handed_on(uri: str, tmp_path: Path) -> None:
    dataset = synthetic_dataset(uri)
    Path(uri, "samples_meta.table").write_bytes(Path(dataset.files()[0]).read_bytes())
    with pytest.raises(
        UserError, match=r"SHA-256 of samples_meta\.table is not the file's; `describe` writes it again"
    ):
        export_huggingface(dataset, str(tmp_path / "hub"))
