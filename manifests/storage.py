"""Whole files on a local disk or in an object store, behind four guarantees.

A file appears whole or not at all; `Storage.create` succeeds for one writer only; what was written is durable
when the call returns; a listing is sorted. Paths are relative to the storage's root, with forward slashes.
Local paths and ``file://`` use the operating system; ``s3://``, ``gs://`` and ``az://`` go through obstore
with credentials from the environment; ``memory://NAME/...`` lives as long as the process and serves tests.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import MemoryStore, from_url

from manifests.errors import UserError

TEMPORARY = re.compile(r"\.[^/]*\.tmp")
"""Name of a file that a writer has not finished."""
_OBJECT_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")


class Entry(NamedTuple):
    """A file: its path under the root, its size in bytes, when it was last written (seconds since 1970)."""

    path: str
    size: int
    modified: float


class Storage(Protocol):
    """What a data set needs of the place where it lies. Every failure is a `UserError` of one line."""

    uri: str
    """Where the root is: an absolute path or a URI; `open_storage` takes it back."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none."""

    def open(self, path: str) -> pa.NativeFile:
        """The file for random access, so that a reader fetches only the columns it asks for."""

    def writer(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file to fill; it replaces ``path`` when the block ends well and leaves nothing when it raises."""

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Write ``path``, replacing what was there."""

    def create(self, path: str, data: bytes) -> bool:
        """Write ``path`` unless it exists: exactly one of several writers gets True."""

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
    parts = urlsplit(uri)
    if not uri:
        raise UserError("the data set's URI is empty")
    if parts.scheme == "memory":
        return _ObjectStorage(uri.rstrip("/"), _memory_store(parts.netloc), parts.path.strip("/"))
    if parts.scheme in _OBJECT_SCHEMES:
        try:
            return _ObjectStorage(uri.rstrip("/"), from_url(uri), "")
        except (BaseError, ValueError) as error:
            raise UserError(f"cannot open {uri}: {_first_line(error)}") from None
    if parts.scheme == "file":
        return _LocalStorage(Path(unquote(parts.path)))
    if "://" in uri:
        known = ", ".join(("file", *_OBJECT_SCHEMES))
        raise UserError(f"{uri}: unknown scheme {parts.scheme!r}; a plain path or one of: {known}")
    return _LocalStorage(Path(uri))


class _LocalStorage:
    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self.uri = str(self._root)
        if self._root.is_file():
            raise UserError(f"{self.uri} is a file, not a folder")

    def read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure("read", path, error) from None

    def open(self, path: str) -> pa.NativeFile:
        try:
            return pa.OSFile(str(self._root / path), "rb")
        except OSError as error:
            raise self._failure("read", path, error) from None

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[IO[bytes]]:
        target = self._root / path
        try:
            with self._finished(target) as (temporary, stream):
                yield stream
                _flush(stream)
                temporary.replace(target)
                _sync_folder(target.parent)
        except OSError as error:
            raise self._failure("write", path, error) from None

    def write(self, path: str, data: bytes | memoryview) -> None:
        with self.writer(path) as stream:
            stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        target = self._root / path
        if target.exists():
            return False
        try:
            with self._finished(target) as (temporary, stream):
                stream.write(data)
                _flush(stream)
                # A hard link to a whole file is the one local operation both exclusive and never torn.
                try:
                    target.hardlink_to(temporary)
                except FileExistsError:
                    return False
                _sync_folder(target.parent)
        except OSError as error:
            raise self._failure("write", path, error) from None
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        found = []

        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise self._failure("read", prefix, error) from None

        for folder, _, names in os.walk(self._root / prefix, onerror=fail):
            for name in names:
                file = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    status = file.stat()
                    found.append(Entry(file.relative_to(self._root).as_posix(), status.st_size, status.st_mtime))
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
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as stream:
                yield temporary, stream
        finally:
            temporary.unlink(missing_ok=True)

    def _failure(self, verb: str, path: str, error: OSError) -> UserError:
        reason = os.strerror(error.errno) if error.errno else _first_line(error)
        return UserError(f"cannot {verb} {self._root / path}: {reason}")


class _ObjectStorage:
    """An object store: a put is whole or absent by itself, and put mode ``create`` is exclusive."""

    def __init__(self, uri: str, store: Any, prefix: str) -> None:
        self.uri = uri
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""

    def read(self, path: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, self._prefix + path).bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._failure("read", path, error) from None

    def open(self, path: str) -> pa.NativeFile:
        try:
            return pa.PythonFile(_BytesReader(obstore.open_reader(self._store, self._prefix + path)), "r")
        except (BaseError, OSError) as error:
            raise self._failure("read", path, error) from None

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[IO[bytes]]:
        with tempfile.SpooledTemporaryFile(max_size=256 << 20) as stream:
            yield stream
            stream.seek(0)
            try:
                obstore.put(self._store, self._prefix + path, stream)
            except (BaseError, OSError) as error:
                raise self._failure("write", path, error) from None

    def write(self, path: str, data: bytes | memoryview) -> None:
        with self.writer(path) as stream:
            stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        try:
            obstore.put(self._store, self._prefix + path, data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise self._failure("write", path, error) from None
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        below = (self._prefix + prefix).rstrip("/")
        try:
            found = [
                Entry(item["path"].removeprefix(self._prefix), int(item["size"]), item["last_modified"].timestamp())
                for page in obstore.list(self._store, prefix=below or None)
                for item in page
            ]
        except (BaseError, OSError) as error:
            raise self._failure("list", prefix, error) from None
        return sorted(found)

    def delete(self, path: str) -> None:
        try:
            obstore.delete(self._store, self._prefix + path)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise self._failure("delete", path, error) from None

    def locate(self, path: str) -> str:
        return f"{self.uri}/{path}"

    def _failure(self, verb: str, path: str, error: Exception) -> UserError:
        return UserError(f"cannot {verb} {self.locate(path)}: {_first_line(error)}")


class _BytesReader(io.RawIOBase):
    """obstore's reader with the ``bytes`` that pyarrow expects of a Python file."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def read(self, size: int = -1) -> bytes:
        return bytes(self._reader.read(None if size is None or size < 0 else size))


_MEMORY_STORES: dict[str, Any] = {}
_MEMORY_LOCK = threading.Lock()


def _memory_store(name: str) -> Any:
    with _MEMORY_LOCK:
        return _MEMORY_STORES.setdefault(name, MemoryStore())


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


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
