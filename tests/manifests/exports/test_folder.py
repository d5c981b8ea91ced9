from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.exports.folder import new_folder


def test_the_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "export"
    with new_folder(str(target)) as folder:
        (folder / "file").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["export"]
    assert (target / "file").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with new_folder(str(tmp_path / "export")) as folder:
            (folder / "file").write_text("x")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_another_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "export"
    target.mkdir()
    with new_folder(str(target)) as folder:
        (folder / "file").write_text("x")
    with pytest.raises(UserError, match="choose a new or an empty folder"), new_folder(str(target)):
        pass
    assert [path.name for path in target.iterdir()] == ["file"]


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "export").write_text("mine")
    with pytest.raises(UserError, match="is there already"), new_folder(str(tmp_path / "export")):
        pass
    with pytest.raises(UserError, match=r"cannot write .*below"), new_folder(str(tmp_path / "export" / "below")):
        pass
    assert (tmp_path / "export").read_text() == "mine"


def test_two_exports_to_one_place_do_not_mix(tmp_path: Path) -> None:
    with new_folder(str(tmp_path / "export")) as first:
        with pytest.raises(UserError, match="another export on its way"), new_folder(str(tmp_path / "export")):
            pass
        assert first.is_dir()
    assert (tmp_path / "export").is_dir()


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    message = r"cannot write .*: No such file or directory"
    with pytest.raises(UserError, match=message), new_folder(str(tmp_path / "export")) as folder:
        (folder / "not there" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = multiprocessing.get_context("fork").Process(target=_killed_export, args=(tmp_path / "export",))
    killed.start()
    killed.join()
    assert (tmp_path / ".export.unfinished" / "images" / "half").exists()
    with new_folder(str(tmp_path / "export")) as folder:
        (folder / "file").write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["export", "export/file"]


def _killed_export(output: Path) -> None:
    with new_folder(str(output)) as folder:
        (folder / "images").mkdir()
        (folder / "images" / "half").write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("output", ["s3://bucket/export", "memory://store/export"])
def test_object_stores_are_refused(output: str) -> None:
    with pytest.raises(UserError, match="folder on a local disk"), new_folder(output):
        pass
