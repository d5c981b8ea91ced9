"""Files in an object store, which may be away for minutes, answer half, or not tell that it did what was asked.

What passes is tried again for as long as `manifests.common.patience` has it, and then is a `PassingError`; what stays
(no access, no bucket, no such host) is a `UserError` at once.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import MemoryStore, from_url

from manifests.common.patience import VARIABLE, Patience
from manifests.errors import PassingError, UserError
from manifests.storage.entry import Entry, Stat
from manifests.storage.store_faults import passes, reason

SCHEMES = {"s3": "AWS", "s3a": "AWS", "gs": "GOOGLE", "az": "AZURE", "abfs": "AZURE", "abfss": "AZURE"}
"""Object stores that we know, and how the names of their environment variables begin."""
_CLIENT_OPTIONS = {
    "allow_http": "false",
    "allow_invalid_certificates": "false",
    "connect_timeout": "5 s",
    "read_timeout": "30 s",  # without a byte
    "timeout": "10 min",  # of one answer: what is larger is taken up again
    "proxy_url": "",
    "proxy_ca_certificate": "",
    "proxy_excludes": "",
}
# obstore's own retries, for hiccups: it has no words for them, and tries no answer again that is cut in its body.
_RETRIES: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
}
_READ_AHEAD = 1 << 20
_CHUNK = 1 << 14  # of an answer; what of it broke off is fetched again
_SPOOLED = 256 << 20
_AT_ONCE = 16  # requests for small files, which are all waiting

T = TypeVar("T")


def open_object_store(uri: str) -> ObjectStorage:
    """The store at ``uri``, whose scheme is one of `SCHEMES`, set up from the environment.

    Raises:
        UserError: it cannot be set up.
    """
    try:
        store = from_url(uri, retry_config=_RETRIES, client_options=_client_options(urlsplit(uri).scheme))
    except (BaseError, ValueError) as error:
        raise UserError(f"cannot open {uri}: {reason(error)}") from None
    return ObjectStorage(uri.rstrip("/"), store, "")


def open_memory_store(uri: str) -> ObjectStorage:
    """The store at ``memory://NAME/...``, which lives as long as the process."""
    parts = urlsplit(uri)
    with _MEMORY_LOCK:
        store = _MEMORY_STORES.setdefault(parts.netloc, MemoryStore())
    return ObjectStorage(uri.rstrip("/"), store, parts.path.strip("/"))


class ObjectStorage:
    """A `manifests.storage.whole_files.Storage`: a put is whole or absent by itself, put mode ``create`` exclusive."""

    def __init__(self, uri: str, store: Any, prefix: str) -> None:
        self.uri = uri
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""

    def read(self, path: str) -> bytes | None:
        return self._persist("read", path, lambda patience: self._get(path, patience))

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        threads = ThreadPoolExecutor(_AT_ONCE)
        try:
            yield from threads.map(self.read, paths)
        finally:
            threads.shutdown(cancel_futures=True)

    def stat(self, path: str) -> Stat | None:
        try:
            found = self._persist("read", path, lambda _: obstore.head(self._store, self._prefix + path))
        except FileNotFoundError:
            return None
        return Stat(int(found["size"]), f"{found['e_tag']} {found['last_modified'].timestamp()}")

    def open(self, path: str) -> pa.NativeFile:
        try:
            found = self._persist("read", path, lambda _: obstore.head(self._store, self._prefix + path))
        except FileNotFoundError as error:
            raise self._failure("read", path, error) from None

        def fetch(start: int, end: int) -> bytes:
            download = _Download(self._store, self._prefix + path, start, end, found["e_tag"])
            try:
                return self._persist("read", path, download.go_on)
            except (FileNotFoundError, PreconditionError):
                raise PassingError(f"{self.locate(path)} was replaced while it was read: try again") from None

        return pa.PythonFile(io.BufferedReader(_Spans(fetch, int(found["size"])), _READ_AHEAD), "r")

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[IO[bytes]]:
        with tempfile.SpooledTemporaryFile(max_size=_SPOOLED) as stream:
            yield stream

            def put(_: Patience) -> None:
                stream.seek(0)
                obstore.put(self._store, self._prefix + path, stream)

            self._put(path, put)

    def write(self, path: str, data: bytes | memoryview) -> None:
        with self.writer(path) as stream:
            stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        def put(patience: Patience) -> bool:
            try:
                obstore.put(self._store, self._prefix + path, data, mode="create")
            except (AlreadyExistsError, PreconditionError) as error:
                # Perhaps it was ourselves, and the answer to that was lost.
                there = self._get(path, patience)
                if there is None:  # of two at the same moment neither won: once more
                    raise AlreadyExistsError(str(error)) from None
                return there == data
            return True

        return self._put(path, put)

    def list(self, prefix: str = "") -> list[Entry]:
        below = (self._prefix + prefix).rstrip("/")

        def pages(_: Patience) -> list[Entry]:
            return [
                Entry(item["path"].removeprefix(self._prefix), int(item["size"]), item["last_modified"].timestamp())
                for page in obstore.list(self._store, prefix=below or None)
                for item in page
            ]

        return sorted(self._persist("list", prefix, pages))

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._persist("delete", path, lambda _: obstore.delete(self._store, self._prefix + path))

    def locate(self, path: str) -> str:
        return f"{self.uri}/{path}"

    def _get(self, path: str, patience: Patience) -> bytes | None:
        download = _Download(self._store, self._prefix + path)
        while True:
            try:
                return self._persist("read", path, download.go_on, patience)
            except FileNotFoundError:
                return None
            except PreconditionError:  # it was replaced in the middle: the beginning is of no use
                download = _Download(self._store, self._prefix + path)

    def _put(self, path: str, action: Callable[[Patience], T]) -> T:
        try:
            return self._persist("write", path, action)
        except FileNotFoundError as error:
            raise self._failure("write", path, error) from None

    def _persist(self, verb: str, path: str, action: Callable[[Patience], T], patience: Patience | None = None) -> T:
        """Do ``action`` until it is done; what is not there or was replaced is told as obstore tells it."""
        patience = patience or Patience(f"waiting for {self.locate(path)}")
        while True:
            try:
                done = action(patience)
            except (FileNotFoundError, PreconditionError) as error:
                if "<Code>NoSuchBucket</Code>" in str(error):
                    raise self._failure(verb, path, error) from None
                raise
            except (BaseError, OSError) as error:
                if not passes(error):
                    raise self._failure(verb, path, error) from None
                if not patience.lasts(reason(error)):
                    raise self._gave_up(verb, path, error, patience) from None
            else:
                patience.renew()
                return done

    def _failure(self, verb: str, path: str, error: Exception) -> UserError:
        return UserError(f"cannot {verb} {self.locate(path)}: {reason(error)}")

    def _gave_up(self, verb: str, path: str, error: Exception, patience: Patience) -> PassingError:
        return PassingError(
            f"cannot {verb} {self.locate(path)}: {reason(error)}; tried for {patience.seconds:g} s ({VARIABLE}): "
            "run the same command again when the store answers"
        )


class _Download:
    """A file or a span of it (bytes ``start`` to ``end``), in as many answers as it takes.

    Each goes on where the last one broke off, in the same ``version`` (ETag) of the file.
    """

    def __init__(
        self, store: Any, key: str, start: int = 0, end: int | None = None, version: str | None = None
    ) -> None:
        self._store, self._key = store, key
        self._start, self._end, self._version = start, end, version
        self._data = bytearray()

    def go_on(self, patience: Patience) -> bytes:
        """Fetch what is missing; what arrives renews ``patience``.

        Raises:
            FileNotFoundError: there is no file.
            PreconditionError: another version has taken its place.
            BaseError, OSError: the answer did not come, or broke off; the next call goes on from there.
        """
        begin = self._start + len(self._data)
        if begin != self._end:
            options: Any = {"if_match": self._version} if self._version else {}
            if self._end is not None:
                options["range"] = (begin, self._end)
            answer = obstore.get(self._store, self._key, options=options)
            self._version, (_, self._end) = answer.meta["e_tag"], answer.range
            for chunk in answer.stream(min_chunk_size=_CHUNK):
                self._data += chunk
                patience.renew()
        if self._start + len(self._data) != self._end:
            raise ConnectionError("the answer broke off")
        return bytes(self._data)


class _Spans(io.RawIOBase):
    """A file of ``size`` bytes for random access, each read fetched by itself."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size, self._position = fetch, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        data = self._fetch(self._position, end)
        buffer[: len(data)] = data
        self._position = end
        return len(data)


_MEMORY_STORES: dict[str, Any] = {}
_MEMORY_LOCK = threading.Lock()


def _client_options(scheme: str) -> Any:
    """All that concerns the HTTP client: obstore reads none of it from the environment once it is given any."""
    told = {name: os.environ.get(f"{SCHEMES[scheme]}_{name.upper()}", value) for name, value in _CLIENT_OPTIONS.items()}
    return {name: value for name, value in told.items() if value}
