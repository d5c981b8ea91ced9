"""What is listed, and what is never opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.common.pictures import MAX_BYTES
from manifests.errors import UserError
from pipeline.sources.files import SourceFile, SourceRoot, finish

Put = Callable[..., Path]


def reason(root: Path, path: str) -> str | None:
    fault = SourceRoot(root).entry(path).fault
    return fault.reason if fault else None


def test_lists_images_sorted_and_passes_over_the_rest(put: Put, root: Path) -> None:
    for name in ("b.JPG", "a.jpeg", "c.Png", "Thumbs.db", ".hidden.jpg", "notes.txt", "below/d.jpg"):
        put(name)
    source = SourceRoot(root)
    assert [entry.relative_path for entry in source.images()] == ["a.jpeg", "b.JPG", "c.Png"]
    everything = [entry.relative_path for entry in source.images(recursive=True)]
    assert everything == ["a.jpeg", "b.JPG", "below/d.jpg", "c.Png"]
    assert all(entry.fault is None and entry.size > 0 for entry in source.images())


def test_stem_loses_all_image_suffixes(put: Put, root: Path) -> None:
    put("0002_c1.5.jpg.JPG")
    assert [entry.stem for entry in SourceRoot(root).images()] == ["0002_c1.5"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.jpg", "a/../../outside.jpg", "http://a/b.jpg", ""])
def test_paths_out_of_the_root_are_refused(put: Put, root: Path, path: str) -> None:
    put("inside.jpg")
    put("../outside.jpg")
    assert reason(root, path) == "bad_path"


def test_links_are_followed_inside_the_root_only(put: Put, root: Path) -> None:
    inside, outside = put("a/inside.jpg"), put("../outside.jpg")
    put("../elsewhere/far.jpg")
    (root / "good.jpg").symlink_to(inside)
    (root / "escape.jpg").symlink_to(outside)
    (root / "chain.jpg").symlink_to(root / "escape.jpg")
    (root / "folder").symlink_to(root.parent / "elsewhere")
    (root / "broken.jpg").symlink_to(root / "nothing.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    assert reason(root, "good.jpg") is None
    for path in ("escape.jpg", "chain.jpg", "folder/far.jpg"):
        assert reason(root, path) == "outside_root"
    assert reason(root, "broken.jpg") == reason(root, "loop.jpg") == "missing_file"
    # A linked folder is not walked into (it could lead back up for ever), but not passed over in silence either.
    (root / "back").symlink_to(root)
    listed = {e.relative_path: e.fault.reason if e.fault else None for e in SourceRoot(root).images(recursive=True)}
    assert listed["folder"] == "outside_root"
    assert not any(path.startswith(("back", "folder/")) for path in listed)
    assert [path for path, fault in listed.items() if fault is None] == ["a/inside.jpg", "good.jpg"]


def test_pipes_folders_and_giants_are_faults(put: Put, root: Path) -> None:
    put("ordinary.jpg")
    os.mkfifo(root / "pipe.jpg")
    (root / "folder.jpg").mkdir()
    with (root / "giant.jpg").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert reason(root, "pipe.jpg") == reason(root, "folder.jpg") == "not_a_file"
    assert reason(root, "giant.jpg") == "too_many_bytes"
    assert reason(root, "absent.jpg") == "missing_file"
    assert reason(root, "nul\0.jpg") == "bad_path"
    assert not any(e.fault.readable for e in SourceRoot(root).images() if e.fault)


def test_a_name_that_is_not_utf8_is_a_fault_that_can_be_printed(put: Put, root: Path) -> None:
    put("ordinary.jpg")
    with open(os.fsencode(root) + b"/\xff\xfe.jpg", "wb") as stream:  # noqa: PTH123
        stream.write(b"x")
    faults = [entry for entry in SourceRoot(root).images() if entry.fault]
    assert [entry.relative_path for entry in faults] == ["\\xff\\xfe.jpg"]
    assert [entry.fault.reason for entry in faults if entry.fault] == ["bad_name"]


def test_names_that_differ_in_case_and_suffix_are_one_picture() -> None:
    paths = ["query/a.jpg", "query/A.JPG", "query/a.png", "train/a.jpg"]
    files = finish(SourceFile(p, 1, "query" if p.startswith("query") else "train") for p in paths)
    kept = [file.relative_path for file in files if file.fault is None]
    assert kept == ["query/A.JPG", "train/a.jpg"]
    assert {file.fault.reason for file in files if file.fault} == {"duplicate_name"}


def test_a_root_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    for name, expected in [("absent", "does not exist"), ("empty", "is empty"), ("file", "is not a folder")]:
        with pytest.raises(UserError, match=expected) as caught:
            SourceRoot(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
