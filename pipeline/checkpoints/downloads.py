"""Fetching a large file: resumed where it stopped, checked against its SHA-256, renamed into place last."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock, Timeout
from urllib3.exceptions import NewConnectionError

from manifests.common.patience import Patience, patience_seconds
from manifests.errors import PassingError, UserError, one_line
from pipeline.common.progress import Progress

OFFLINE_SECONDS = 8.0  # a host that was never reached: who is offline would rather know it soon
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two reads
_PROGRESS = 1 << 20  # bytes
_BLOCK = 1 << 16  # bytes; what a broken connection loses
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True)
class Source:
    """What to fetch. ``sha256`` is a whole digest or the beginning of one; ``label`` names it in messages."""

    label: str
    url: str
    sha256: str
    size_bytes: int | None = None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; remembered while the file's size and times stay the same."""
    state = path.stat()
    return _digest(path.absolute(), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(source: Source, target: Path) -> None:
    """Fetch ``source`` to ``target``, unless another process just did; nothing unchecked is ever there.

    A transfer that stops leaves ``target.part``, from which the next one goes on.

    Raises:
        PassingError: offline, or the server stayed away for longer than it is waited for.
        UserError: refused, wrong digest (the file is removed), no space or no right to write.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target, source.label):
            if not target.exists():
                _fetch(source, part)
                part.replace(target)
                _validator(part).unlink(missing_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink(missing_ok=True)
        raise UserError(
            f"cannot store {source.label} at {target}: {error.strerror or error}; REID_SYNTH_CACHE names another folder"
        ) from None


@contextmanager
def _locked(target: Path, label: str) -> Iterator[None]:
    """Hold the lock of ``target``: one process on this machine fetches, the others wait and find it done."""
    lock = FileLock(target.with_name(target.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"fetch {label}: waiting for another process that is fetching it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(source: Source, part: Path) -> None:
    """Bring ``part`` to the whole, checked file."""
    while True:
        resumed = _size(part) > 0
        _transfer(source, part)
        found = file_sha256(part)
        if found.startswith(source.sha256):
            return
        part.unlink()
        if not resumed:  # else its beginning may be of another version: once more from the start
            raise UserError(
                f"{source.label} from {source.url} is not what it should be: "
                f"expected SHA-256 {source.sha256}, got {found}; it was removed"
            )
        _say(f"fetch {source.label}: the resumed file is wrong, starting again")


def _transfer(source: Source, part: Path) -> None:
    """Fetch until nothing is missing, taking up again after faults that pass."""
    patience = Patience(f"fetch {source.label}", min(OFFLINE_SECONDS, patience_seconds()))
    with requests.Session() as session:
        while True:
            before = _size(part)
            try:
                if _stream(session, source, part):
                    return
                reason = "the server cannot resume"
            except _TRANSIENT as error:
                reason = _reason(error)
                if not _unreached(error):
                    patience.seconds = patience_seconds()
            except requests.RequestException as error:
                raise UserError(f"cannot fetch {source.label} from {source.url}: {_reason(error)}") from None
            if _size(part) - before >= _PROGRESS:
                patience.renew()
            if not patience.lasts(reason):
                raise PassingError(_gave_up(source, part, reason))


def _stream(session: requests.Session, source: Source, part: Path) -> bool:
    """One request: append what ``part`` lacks. False if ``part`` had to be dropped and nothing came."""
    start = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if _validator(part).exists():
            headers["If-Range"] = _validator(part).read_text("utf-8")
    with session.get(source.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        first, total = _content_range(response)
        if start and response.status_code == 416:
            if total != start:
                part.unlink()
            return total == start
        _refuse(source, response)
        if response.status_code == 206 and first != start:
            part.unlink(missing_ok=True)
            return False
        resumed = response.status_code == 206
        if not resumed:
            start, total = 0, int(response.headers.get("Content-Length", 0))
        _check_space(source, part, start, total)
        _remember(response, part)
        if resumed:
            _say(f"fetch {source.label}: going on at {start / 1e6:.1f} MB")
        missing = (total or source.size_bytes or 0) - start
        with part.open("ab" if resumed else "wb") as file, _ByteProgress(source.label, missing) as progress:
            for block in response.iter_content(_BLOCK):
                file.write(block)
                progress.advance(len(block))
            file.flush()
            os.fsync(file.fileno())
    return True


def _refuse(source: Source, response: requests.Response) -> None:
    """Raise for an answer that is not the file: a passing fault to be tried again, or the end."""
    if response.status_code in _BUSY:
        raise requests.ConnectionError(f"HTTP {response.status_code} {response.reason}")
    if response.status_code not in (200, 206):
        raise UserError(f"cannot fetch {source.label}: HTTP {response.status_code} {response.reason} for {source.url}")


def _check_space(source: Source, part: Path, start: int, total: int) -> None:
    if source.size_bytes and total and total != source.size_bytes:
        part.unlink(missing_ok=True)
        raise UserError(f"{source.url} offers {total} bytes, but {source.label} has {source.size_bytes}: another file")
    free = shutil.disk_usage(part.parent).free + (_size(part) if start == 0 else 0)
    if total - start > free:
        raise OSError(errno.ENOSPC, f"{(total - start) / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def _remember(response: requests.Response, part: Path) -> None:
    """Keep what tells this version of the file from another; a weak ETag may not be used in If-Range."""
    tag = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    if version:
        _validator(part).write_text(version, "utf-8")
    else:
        _validator(part).unlink(missing_ok=True)


class _ByteProgress:
    """Progress in whole MB (or KB, for a small file) of a transfer counted in bytes; on stderr."""

    def __init__(self, label: str, total: int) -> None:
        self._unit, name = (1_000_000, "MB") if total >= 20_000_000 else (1_000, "KB")
        self._bytes = 0
        self._progress = Progress(f"fetch {label}", -(-total // self._unit), name, stream=sys.stderr)

    def advance(self, count: int) -> None:
        self._bytes += count
        self._progress.advance(-(-self._bytes // self._unit) - self._progress.done)

    def __enter__(self) -> _ByteProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.close()


def _content_range(response: requests.Response) -> tuple[int | None, int]:
    """First byte and total size that ``Content-Range`` tells; (None, 0) where it does not."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    if not match:
        return None, 0
    return (int(match[1]) if match[1] else None), int(match[2])


def _gave_up(source: Source, part: Path, reason: str) -> str:
    target = part.with_name(part.name.removesuffix(".part"))
    return (
        f"cannot fetch {source.label} from {urlsplit(source.url).netloc} ({reason}): try again when online, "
        f"set REID_SYNTH_MIRROR, or put the file at {target}"
    )


def _unreached(error: requests.RequestException) -> bool:
    """Whether not even a connection came about: no name, no route, nobody who listens."""
    return isinstance(getattr(error.args[0] if error.args else None, "reason", None), NewConnectionError)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    cause = error.args[0] if error.args else error
    text = one_line(getattr(cause, "reason", None) or cause)
    return text.rpartition(": ")[2] or type(error).__name__


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
