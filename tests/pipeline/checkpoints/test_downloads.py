from __future__ import annotations

import hashlib
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from manifests.common import patience
from manifests.errors import PassingError, UserError
from pipeline.checkpoints import CHECKPOINTS, cache_folder, downloads, file_sha256, load_state, resolve
from pipeline.checkpoints.__main__ import main

SIZE = 1 << 22
CONTENT = np.random.default_rng(7).bytes(SIZE)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = np.random.default_rng(8).bytes(SIZE)


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` (path -> bytes). Settings may change between requests.

    ``faults`` are taken one a request, in order: an int is a status to answer, ``"drop"`` sends half of what was
    asked for and closes the connection, None serves as usual. ``requests`` logs (path, Range, status).
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[int | str | None] = []
        self.ranges = True
        self.etags = True
        self.wait = threading.Event()
        self.wait.set()
        self.requests: list[tuple[str, str | None, int]] = []
        self.if_range: list[str | None] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""

    @property
    def statuses(self) -> list[int]:
        return [status for _, _, status in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else None
        content = self.server.files.get(self.path)
        if isinstance(fault, int) or content is None:
            self.answer(fault if isinstance(fault, int) else 404, b"sorry", {})
            return
        self.server.wait.wait(10)
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": etag} if self.server.etags else {}
        self.server.if_range.append(self.headers["If-Range"])
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = self.headers["If-Range"] in (None, etag)
        if not (asked and same and self.server.ranges):
            self.answer(200, content, headers, fault == "drop")
            return
        start = int(asked[1])
        if start >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206, content[start:], headers, fault == "drop")

    def answer(self, status: int, body: bytes, headers: dict[str, str], drop: bool = False) -> None:
        self.server.requests.append((self.path, self.headers["Range"], status))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if drop else body)
        self.close_connection = drop

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        server.files["/zoo/model.pth"] = CONTENT
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REID_SYNTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("REID_SYNTH_MIRROR", raising=False)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(downloads, "OFFLINE_SECONDS", 0.1)
    return tmp_path / "cache" / "checkpoints"


def url(server: FileServer, digest: str = DIGEST) -> str:
    return f"{server.url}/zoo/model.pth#sha256={digest}"


def part_of(server: FileServer) -> Path:
    return cache_folder() / f"{DIGEST[:16]}-model.pth.part"


def left_over(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.iterdir() if not file.name.endswith(".lock"))


def test_a_url_is_fetched_once_and_then_found_in_the_cache(server: FileServer, cache: Path) -> None:
    path = resolve(url(server))
    assert path.read_bytes() == CONTENT
    assert (
        path == resolve(url(server)) == resolve(url(server).upper().replace("HTTP://", "http://", 1)[:0] or url(server))
    )
    assert len(server.requests) == 1
    assert left_over(cache) == [path.name]


@pytest.mark.parametrize("digits", [8, 20, 64])
def test_the_beginning_of_a_digest_is_enough(server: FileServer, digits: int) -> None:
    assert resolve(url(server, DIGEST[:digits])).read_bytes() == CONTENT


@pytest.mark.parametrize("fragment", ["", "#sha256=", "#sha256=abc", "#sha256=" + "g" * 64, "#md5=" + "0" * 32])
def test_a_url_needs_a_digest(server: FileServer, fragment: str) -> None:
    with pytest.raises(UserError, match="sha256="):
        resolve(f"{server.url}/zoo/model.pth{fragment}")
    assert server.requests == []


def test_a_dropped_connection_is_taken_up_where_it_broke(
    server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = ["drop", "drop"]
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.requests == [
        ("/zoo/model.pth", None, 200),
        ("/zoo/model.pth", "bytes=2097152-", 206),
        ("/zoo/model.pth", "bytes=3145728-", 206),
    ]
    assert server.if_range[1] == server.if_range[2] != server.if_range[0]
    said = capsys.readouterr()
    assert "going on at 2.1 MB" in said.err
    assert said.out == ""


def test_the_next_run_goes_on_where_the_last_one_stopped(server: FileServer, cache: Path) -> None:
    server.faults = ["drop", 403]
    with pytest.raises(UserError, match="HTTP 403"):
        resolve(url(server))
    assert part_of(server).stat().st_size == SIZE // 2
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.requests[-1] == ("/zoo/model.pth", "bytes=2097152-", 206)
    assert len(left_over(cache)) == 1


@pytest.mark.parametrize("etags", [True, False])
def test_a_server_without_range_starts_again(server: FileServer, etags: bool) -> None:
    server.faults, server.ranges, server.etags = ["drop"], False, etags
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.requests[-1] == ("/zoo/model.pth", "bytes=2097152-", 200)


def test_a_file_that_changed_on_the_server_is_not_mixed_with_its_old_version(server: FileServer) -> None:
    server.files["/zoo/model.pth"] = OTHER
    server.faults = ["drop", 403]
    with pytest.raises(UserError, match="HTTP 403"):
        resolve(url(server))
    server.files["/zoo/model.pth"] = CONTENT
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.statuses == [200, 403, 200]  # If-Range names the old version


def test_a_wrong_beginning_without_etag_is_found_by_the_digest(server: FileServer) -> None:
    server.etags = False
    part_of(server).parent.mkdir(parents=True)
    part_of(server).write_bytes(OTHER[:1000])
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.statuses == [206, 200]


@pytest.mark.parametrize("extra", [b"", b"too long"])
def test_a_whole_or_too_long_part_file_ends_well(server: FileServer, extra: bytes) -> None:
    part_of(server).parent.mkdir(parents=True)
    part_of(server).write_bytes(CONTENT + extra)
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.statuses == ([416, 200] if extra else [416])


def test_wrong_bytes_are_refused_and_removed(server: FileServer, cache: Path) -> None:
    server.files["/zoo/model.pth"] = OTHER
    with pytest.raises(UserError) as caught:
        resolve(url(server))
    assert DIGEST in str(caught.value)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [name for name in left_over(cache) if not name.endswith(".version")] == []


def test_a_flipped_byte_in_the_cache_is_found_before_use(server: FileServer) -> None:
    path = resolve(url(server))
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(UserError, match=f"expected SHA-256 {DIGEST}.*removed"):
        resolve(url(server))
    assert not path.exists()
    assert resolve(url(server)).read_bytes() == CONTENT


def test_faults_that_pass_are_tried_again(server: FileServer) -> None:
    server.faults = [503, 429, None]
    assert resolve(url(server)).read_bytes() == CONTENT
    assert server.statuses == [503, 429, 200]


def test_faults_that_stay_end_in_one_line(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(patience.VARIABLE, "0.1")
    server.faults = [503] * 99
    with pytest.raises(PassingError, match=r"cannot fetch model.pth from 127.*HTTP 503.*put the file at") as caught:
        resolve(url(server))
    assert len(server.requests) > 2
    assert "\n" not in str(caught.value)


def test_a_busy_host_is_waited_for_longer(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "OFFLINE_SECONDS", 0.0)
    server.faults = [503, 503, None]
    assert resolve(url(server)).read_bytes() == CONTENT


def test_what_is_not_there_is_asked_for_once(server: FileServer) -> None:
    with pytest.raises(UserError, match="HTTP 404 Not Found"):
        resolve(f"{server.url}/zoo/other.pth#sha256={DIGEST}")
    assert len(server.requests) == 1


def test_offline_says_what_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]  # bound, not listening: nobody answers
        with pytest.raises(UserError, match=r"cannot fetch model.pth from .*Connection refused.*REID_SYNTH_MIRROR"):
            resolve(f"http://127.0.0.1:{port}/model.pth#sha256={DIGEST}")


def test_a_full_disk_is_seen_before_the_transfer(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(UserError, match="4 MB needed, 1 MB free; REID_SYNTH_CACHE"):
        resolve(url(server))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device without space")
def test_a_disk_that_fills_up_during_the_transfer(server: FileServer, cache: Path) -> None:
    cache.mkdir(parents=True)
    part_of(server).symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device; REID_SYNTH_CACHE"):
        resolve(url(server))
    assert not part_of(server).is_symlink()


def test_a_cache_that_cannot_be_written(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REID_SYNTH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot store model.pth at .*Not a directory"):
        resolve(url(server))


def test_a_read_only_cache_that_holds_the_file_is_enough(server: FileServer, cache: Path) -> None:
    path = resolve(url(server))
    for lock in cache.glob("*.lock"):
        lock.unlink()
    cache.chmod(0o555)
    try:
        assert resolve(url(server)) == path
    finally:
        cache.chmod(0o755)
    assert list(cache.glob("*.lock")) == []


def test_processes_that_want_the_same_file_fetch_it_once(server: FileServer) -> None:
    server.wait.clear()
    command = [sys.executable, "-m", "pipeline.checkpoints", "fetch", url(server), "--json"]
    started = [
        subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = selectors.DefaultSelector()
    for process in started:
        said.register(process.stderr or 0, selectors.EVENT_READ)
    waiting = set()
    while len(waiting) < 2:  # the one that fetches has nothing to say until the server answers
        for key, _ in said.select(30):
            assert "waiting for another process" in key.fileobj.readline()
            waiting.add(key.fd)
    server.wait.set()
    ended = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ended
    assert server.statuses == [200]
    assert file_sha256(cache_folder() / f"{DIGEST[:16]}-model.pth") == DIGEST


class TestNamed:
    """The table's own entries, through a mirror."""

    NAME = "rtmpose-t"

    @pytest.fixture
    def small(self, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
        """``rtmpose-t`` with our content's digest, at the path that its official URL has."""
        entry = CHECKPOINTS[self.NAME]
        monkeypatch.setitem(CHECKPOINTS, self.NAME, replace(entry, sha256=DIGEST[:8], size_bytes=len(CONTENT)))
        server.files["/inside/mmpose/v1/projects/rtmposev1/" + entry.file_name] = CONTENT
        monkeypatch.setenv("REID_SYNTH_MIRROR", f"{server.url}/inside/")
        return server

    def test_comes_from_the_mirror_under_its_own_file_name(self, small: FileServer, cache: Path) -> None:
        path = resolve(self.NAME)
        assert path == cache / "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.pth"
        assert path.read_bytes() == CONTENT

    def test_another_size_is_refused_before_the_transfer(self, small: FileServer) -> None:
        path = next(path for path in small.files if path.startswith("/inside"))
        small.files[path] = CONTENT[:-5]
        with pytest.raises(UserError, match="offers 4194299 bytes, but rtmpose-t has 4194304"):
            resolve(self.NAME)

    def test_command_line(self, small: FileServer, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", self.NAME]) == 1
        assert "missing" in capsys.readouterr().out
        assert main(["fetch", self.NAME]) == 0
        assert "4.2 MB  here" in capsys.readouterr().out
        assert main(["verify"]) == 0
        assert main(["list"]) == 0
        assert re.search(r"^rtmpose-t +mmpose +4\.2 MB", capsys.readouterr().out, re.MULTILINE)
        next(cache.glob("*.pth")).write_bytes(b"no")
        assert main(["verify", "--json"]) == 1
        assert next(cache.glob("*.pth")).read_bytes() == b"no"  # looked at, not touched
        assert main(["fetch", self.NAME]) == 2
        assert capsys.readouterr().err.count("error: ") == 1

    def test_fetched_bytes_that_are_no_checkpoint_are_named(self, small: FileServer) -> None:
        with pytest.raises(UserError, match="no checkpoint, or damaged"):
            load_state(resolve(self.NAME))
