"""Whole files on a local disk or in an object store, behind four guarantees.

A file appears whole or not at all; `Storage.create` succeeds for one writer only; what was written is durable
when the call returns; a listing is sorted. Paths are relative to the storage's root, with forward slashes.
Local paths and ``file://`` use the operating system; ``s3://``, ``gs://`` and ``az://`` go through obstore
with credentials from the environment and are waited for while they are away; ``memory://NAME/...`` lives as
long as the process and serves tests.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from manifests.errors import PassingError, UserError, first_line
from manifests.storage.entry import TEMPORARY, Entry, Stat
from manifests.storage.object_store import SCHEMES, open_memory_store, open_object_store

__all__ = ["TEMPORARY", "Entry", "Stat", "Storage", "open_storage"]
_NOT_THERE = (errno.ENOENT, errno.ELOOP)
"""A file that went meanwhile, or a link that leads nowhere."""

# What a folder on another machine says when it was away.
_PASSING = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN}


class Storage(Protocol):
    """What a data set needs of the place where it lies.

    Every failure is a `UserError` of one line; a `PassingError` where the store was away for longer than it is
    waited for (see `manifests.common.patience`).
    """

    uri: str
    """Where the root is: an absolute path or a URI; `open_storage` takes it back."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none."""

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The same of many small files, in their order; where each has to be waited for, several at a time."""

    def stat(self, path: str) -> Stat | None:
        """How the file is, or None where there is none; nothing of it is read."""

    def open(self, path: str) -> pa.NativeFile:
        """The file for random access, so that a reader fetches only the columns it asks for."""

    def writer(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file to fill; it replaces ``path`` when the block ends well and leaves nothing when it raises."""

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Write ``path``, replacing what was there."""

    def create(self, path: str, data: bytes) -> bool:
        """Write ``path`` unless it exists: exactly one of several writers of different bytes gets True.

        Writers of the same bytes may all get it: an object store's answer can be lost after the file was made, and
        then its bytes alone tell whose it is. Where that matters, let the bytes name their writer.
        """

    def list(self, prefix: str = "") -> list[Entry]:
        """Every file below the folder ``prefix``, sorted by path, unfinished ones included."""

    def delete(self, path: str) -> None:
        """Remove the file; no matter if it is gone already."""

    def locate(self, path: str) -> str:
        """The path or URI by which other tools open the file."""


def open_storage(uri: str) -> Storage:
    """The storage at a path or URI; nothing is created until something is written.

    Raises:
        UserError: the scheme is not one of ours, the object store cannot be set up, or a file lies at the path.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise UserError(f"{uri!r} is no path and no URI: {error}") from None
    if not uri:
        raise UserError("the data set's URI is empty")
    if "\0" in uri:
        raise UserError(f"{uri!r} is no path and no URI")
    if parts.scheme == "memory":
        return open_memory_store(uri)
    if parts.scheme in SCHEMES:
        return open_object_store(uri)
    if parts.scheme == "file":
        return _LocalStorage(Path(unquote(parts.path)))
    if "://" in uri:
        known = ", ".join(("file", *SCHEMES))
        raise UserError(f"{uri}: unknown scheme {parts.scheme!r}; a plain path or one of: {known}")
    return _LocalStorage(Path(uri))


class _LocalStorage:
    def __init__(self, root: Path) -> None:
        try:
            self._root = root.expanduser().absolute()
            is_file = self._root.is_file()
        except (OSError, RuntimeError, ValueError) as error:  # a name too long, a home of nobody, not a name at all
            raise UserError(f"cannot open {str(root)!r}: {_reason(error)}") from None
        self.uri = str(self._root)
        if is_file:
            raise UserError(f"{self.uri} is a file, not a folder")

    def read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure("read", path, error) from None

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        return map(self.read, paths)

    def stat(self, path: str) -> Stat | None:
        try:
            found = (self._root / path).stat()
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise self._failure("read", path, error) from None
        return Stat(found.st_size, f"{found.st_ino} {found.st_mtime_ns}")

    def open(self, path: str) -> pa.NativeFile:
        try:
            return pa.OSFile(str(self._root / path), "rb")
        except OSError as error:
            raise self._failure("read", path, error) from None

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[IO[bytes]]:
        target = self._root / path
        with self._finished(target) as (temporary, stream):
            # The block may read other files: what fails there is not this file's failure.
            yield stream
            with self._telling(path):
                _flush(stream)
                temporary.replace(target)
                _sync_folder(target.parent)

    def write(self, path: str, data: bytes | memoryview) -> None:
        with self.writer(path) as stream:
            stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        target = self._root / path
        if target.exists():
            return False
        with self._finished(target) as (temporary, stream), self._telling(path):
            stream.write(data)
            _flush(stream)
            # A hard link to a whole file is the one local operation both exclusive and never torn.
            try:
                target.hardlink_to(temporary)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        found = []

        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise self._failure("read", prefix, error) from None

        for place, _, names in os.walk(self._root / prefix, onerror=fail):
            folder = Path(place)
            inside = folder.relative_to(self._root)  # once a folder, not a file: there may be 100,000
            start = "" if inside == Path() else f"{inside.as_posix()}/"
            for name in names:
                try:
                    status = (folder / name).stat()
                except OSError as error:
                    if error.errno in _NOT_THERE:
                        continue
                    raise self._failure("read", start + name, error) from None
                found.append(Entry(start + name, status.st_size, status.st_mtime))
        return sorted(found)

    def delete(self, path: str) -> None:
        try:
            (self._root / path).unlink(missing_ok=True)
        except OSError as error:
            raise self._failure("delete", path, error) from None

    def locate(self, path: str) -> str:
        return str(self._root / path)

    @contextlib.contextmanager
    def _finished(self, target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
        """A temporary file beside ``target``, gone when the block ends whatever happened."""
        path = target.relative_to(self._root).as_posix()
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            with self._telling(path):
                target.parent.mkdir(parents=True, exist_ok=True)
                raw = _TellingFile(temporary, lambda error: self._failure("write", path, error))
            with io.BufferedWriter(raw) as stream:
                yield temporary, stream
        finally:
            with self._telling(path):
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        """What the operating system refuses of the file at ``path``, as a line that names it."""
        try:
            yield
        except OSError as error:
            raise self._failure("write", path, error) from None

    def _failure(self, verb: str, path: str, error: OSError) -> UserError:
        kind = PassingError if error.errno in _PASSING else UserError
        return kind(f"cannot {verb} {self._root / path}: {_reason(error)}")


class _TellingFile(io.FileIO):
    """A new file whose own failures are told as ``failure`` does, whoever writes to it."""

    def __init__(self, path: Path, failure: Callable[[OSError], UserError]) -> None:
        super().__init__(path, "xb")
        self._failure = failure

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise self._failure(error) from None


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename or link durable: the folder's entry is data of its own."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else first_line(error)
