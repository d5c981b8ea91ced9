from __future__ import annotations

import errno
import os
import resource
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from manifests.errors import PassingError, UserError
from manifests.storage.whole_files import TEMPORARY, Storage, open_storage


@pytest.fixture(params=["path", "file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    folder = tmp_path / "a b"
    uris = {"path": str(folder), "file": folder.as_uri(), "memory": f"memory://{uuid.uuid4().hex}/a b"}
    return open_storage(uris[request.param])


def test_what_is_written_is_read_listed_and_deleted(storage: Storage) -> None:
    assert storage.read("data/1") is None
    assert storage.list() == []
    storage.write("data/2", b"two")
    storage.write("data/1", b"one")
    storage.write("data/1", b"uno!")
    assert storage.read("data/1") == b"uno!"
    assert [entry[:2] for entry in storage.list("data")] == [("data/1", 4), ("data/2", 3)]
    assert all(abs(entry.modified - time.time()) < 60 for entry in storage.list())
    assert storage.list("dat") == []
    with storage.open("data/1") as stream:
        stream.seek(1)
        assert stream.read(2) == b"no"
    storage.delete("data/1")
    storage.delete("data/1")
    assert [entry.path for entry in storage.list()] == ["data/2"]


def test_the_uri_opens_the_same_place_again(storage: Storage) -> None:
    storage.write("run.json", b"{}")
    assert open_storage(storage.uri).read("run.json") == b"{}"


def test_create_has_one_winner(storage: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda writer: storage.create("_commits/1", b"%d" % writer), range(8)))
    assert won.count(True) == 1
    assert storage.read("_commits/1") == b"%d" % won.index(True)
    assert not storage.create("_commits/1", b"late")
    assert [entry.path for entry in storage.list()] == ["_commits/1"]


def test_a_writer_that_raises_leaves_nothing(storage: Storage) -> None:
    def write_half() -> None:
        with storage.writer("data/1") as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert storage.list() == []


def test_an_unfinished_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    with storage.writer("data/1.parquet") as stream:
        stream.write(b"half")
        names = [entry.path.rpartition("/")[2] for entry in storage.list()]
        assert len(names) == 1
        assert TEMPORARY.fullmatch(names[0])
        assert not list(tmp_path.glob("data/*.parquet"))


@pytest.mark.parametrize("uri", ["ftp://host/x", "http://host/x", ""])
def test_unknown_places_are_refused_in_one_line(uri: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        open_storage(uri)


def test_object_store_uris_are_understood() -> None:
    for uri in ("s3://bucket/some/prefix", "gs://bucket/x", "az://container/x"):
        os.environ.setdefault("AZURE_STORAGE_ACCOUNT_NAME", "account")
        assert open_storage(uri).locate("data/1") == f"{uri}/data/1"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    storage = open_storage(str(tmp_path / "file" / "dataset"))
    for action in (lambda: storage.write("run.json", b""), lambda: storage.create("run.json", b"")):
        with pytest.raises(UserError, match=r"^cannot write .*run\.json: [^\n]+$"):
            action()


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "data").mkdir()
    storage = open_storage(str(tmp_path))
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read .*data: Permission denied"):
        storage.list("data")


@pytest.mark.parametrize(("code", "passing"), [(errno.ESTALE, True), (errno.EIO, True), (errno.ENOSPC, False)])
def test_a_shared_folder_that_was_away_is_a_passing_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, passing: bool
) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(UserError, match=r"cannot read .*run\.json") as caught:
        open_storage(str(tmp_path)).read("run.json")
    assert isinstance(caught.value, PassingError) == passing


def test_a_file_is_no_place_for_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("by hand")
    with pytest.raises(UserError, match="notes is a file, not a folder"):
        open_storage(str(tmp_path / "notes"))


def test_a_failure_of_the_callers_block_is_not_the_files(storage: Storage) -> None:
    def fail() -> None:
        with storage.writer("data/1") as stream:
            stream.write(b"half")
            Path("/nowhere/else").read_bytes()

    with pytest.raises(FileNotFoundError, match="/nowhere/else"):
        fail()
    assert storage.list() == []


@pytest.mark.parametrize("size", [1 << 10, 1 << 20])
def test_a_full_disk_is_the_files_own_failure(tmp_path: Path, size: int) -> None:
    storage = open_storage(str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        with pytest.raises(UserError, match=rf"^cannot write {tmp_path}/data/1: File too large$"):
            storage.write("data/1", b"x" * size)
        with pytest.raises(UserError, match=rf"^cannot write {tmp_path}/data/1: File too large$"):
            storage.create("data/1", b"x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert storage.list() == []


def test_a_link_to_itself_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"x")
    assert [entry.path for entry in open_storage(str(tmp_path)).list()] == ["file"]


@pytest.mark.parametrize("uri", ["a\0b", "//[", "x" * 5000, "~nobody-of-this-name/x"])
def test_what_is_no_place_is_one_line(uri: str) -> None:
    with pytest.raises(UserError, match=r"no path and no URI|cannot open"):
        open_storage(uri)
