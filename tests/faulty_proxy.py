"""An HTTP proxy that fails on purpose: what lies between us and an object store on a bad day.

    with FaultyProxy("http://127.0.0.1:8333", seed=7) as proxy:
        client(proxy.url)                         # passes everything on
        proxy.shares = {"cut": 0.2, "503": 0.1}   # from now on: of all requests, drawn from the seed
        proxy.only = "^PUT|^POST"                 # ... but of these requests alone (a pattern)
        proxy.next("lose", match="^PUT .*/run.json")   # the next request like that, whatever the shares
        proxy.outage("refuse", seconds=3)         # from now on every request, for 3 s; then all is well again
        proxy.outage("503"); ...; proxy.mend()    # the same with no end of its own
        proxy.met["cut"]                          # how many requests met a fault
        proxy.seen                                # first lines of all requests ("GET /bucket/key HTTP/1.1")

Faults (`FAULTS`), by what becomes of the request and of the answer:

    refuse   nobody listens: new connections are refused, open ones reset (an outage only)
    drop     the request arrives nowhere, the connection closes without an answer
    reset    the same with a TCP reset
    lose     the request is carried out and its answer lost: the connection closes
    409 500 503   the proxy answers, the server sees nothing
    cut      the answer ends in the middle of its body: anywhere, or `FaultyProxy.cut_after` bytes in, where it has more
    delay    the answer comes `FaultyProxy.delay` seconds late
    stall    the answer's first half comes and then nothing, until the client gives up or the proxy is closed

It runs in a thread of its own, knows only plain HTTP/1.1, and holds an answer in memory.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

FAULTS = ("refuse", "drop", "reset", "lose", "409", "500", "503", "cut", "delay", "stall")
_ERRORS = {
    "409": ("Conflict", "ConditionalRequestConflict"),
    "500": ("Internal Server Error", "InternalError"),
    "503": ("Slow Down", "SlowDown"),
}
_KEPT_ALIVE = ("", "delay", *_ERRORS)
_BODILESS = (b" 204 ", b" 304 ")


class _Message(NamedTuple):
    """A request or an answer: its head, blank line included, and its body as it came."""

    head: bytes
    body: bytes

    @property
    def first_line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")


class FaultyProxy:
    """Serves on a free port of 127.0.0.1 what ``upstream`` (an ``http://`` URL) serves, with faults."""

    def __init__(self, upstream: str, seed: int = 0) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._random = random.Random(seed)
        self._next: list[tuple[str, str]] = []
        self._outage: tuple[str, float] = ("", 0.0)
        self._clients: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="faulty proxy")
        self.shares: Mapping[str, float] = {}
        self.only = ""
        self.cut_after: int | None = None
        self.delay = 0.2
        self.met: Counter[str] = Counter()
        self.seen: list[str] = []
        self._thread.start()
        self._port = 0
        self._call(self._listen())
        self.url = f"http://127.0.0.1:{self._port}"

    def seed(self, seed: int) -> None:
        """Draw anew from ``seed``, and forget what was met and seen."""
        self._random = random.Random(seed)
        self.met.clear()
        self.seen.clear()

    def next(self, fault: str, match: str = "", count: int = 1) -> None:
        """Let the next ``count`` requests in whose first line the pattern ``match`` is found meet ``fault``."""
        self._next += [(_checked(fault), match)] * count

    def outage(self, fault: str, seconds: float = float("inf")) -> None:
        """Let every request of the next ``seconds`` meet ``fault``."""
        self._outage = (_checked(fault), time.monotonic() + seconds)
        if fault == "refuse":
            self._call(self._hang_up())
            if seconds < float("inf"):
                self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._come_back)

    def mend(self) -> None:
        """End an outage, forget what was to come next, and let all requests pass."""
        self._outage, self._next, self.shares, self.only = ("", 0.0), [], {}, ""
        self._call(self._listen())

    def close(self) -> None:
        """End the proxy; its port is free afterwards."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]

    def _come_back(self) -> None:
        self._back = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in list(self._clients):
            _reset(client)

    async def _end(self) -> None:
        await self._hang_up()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._clients.add(client)
        try:
            while True:
                request = await _message(reader)
                fault = self._fault(request.first_line)
                await self._answer(request, fault, client)
                if fault == "stall":
                    await reader.read()  # until the client has had enough
                if fault not in _KEPT_ALIVE:
                    break
        except (OSError, EOFError):
            pass  # the client or the server went away
        finally:
            self._clients.discard(client)
            client.close()

    async def _answer(self, request: _Message, fault: str, client: asyncio.StreamWriter) -> None:
        self.seen.append(request.first_line)
        if fault:
            self.met[fault] += 1
        if fault in _ERRORS:
            client.write(_error(fault, request))
        elif fault in ("reset", "refuse"):
            _reset(client)
        elif fault != "drop":
            answer = await self._passed_on(request)
            if fault == "delay":
                await asyncio.sleep(self.delay)
            if fault != "lose":
                client.write(answer.head + self._part(answer.body, fault))
        await client.drain()

    def _fault(self, line: str) -> str:
        for index, (fault, match) in enumerate(self._next):
            if re.search(match, line):
                del self._next[index]
                return fault
        fault, until = self._outage
        if fault and time.monotonic() < until:
            return fault
        draw = self._random.random() if re.search(self.only, line) else 1.0
        for fault, share in self.shares.items():
            draw -= share
            if draw < 0:
                return _checked(fault)
        return ""

    def _part(self, body: bytes, fault: str) -> bytes:
        if fault == "stall":
            return body[: len(body) // 2]
        if fault == "cut" and body:
            after = self._random.randrange(len(body)) if self.cut_after is None else self.cut_after
            return body[:after]
        return body

    async def _passed_on(self, request: _Message) -> _Message:
        reader, upstream = await asyncio.open_connection(*self._upstream)
        try:
            upstream.write(request.head + request.body)
            await upstream.drain()
            return await _message(reader, bodiless=request.head.startswith(b"HEAD "))
        finally:
            upstream.close()


async def _message(reader: asyncio.StreamReader, bodiless: bool = False) -> _Message:
    """Read one message; raises `EOFError` where the stream ends first."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
    if bodiless or any(status in head.split(b"\r\n", 1)[0] for status in _BODILESS):
        return _Message(head, b"")
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        body = b""
        while not body.endswith(b"\r\n0\r\n\r\n") and body != b"0\r\n\r\n":
            size = await reader.readuntil(b"\r\n")
            body += size + await reader.readexactly(int(size, 16) + 2)
        return _Message(head, body)
    return _Message(head, await reader.readexactly(int(fields.get(b"content-length", b"0"))))


def _error(status: str, request: _Message) -> bytes:
    reason, code = _ERRORS[status]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{reason}</Message></Error>".encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (b"" if request.head.startswith(b"HEAD ") else body)


def _reset(client: asyncio.StreamWriter) -> None:
    """Close with a TCP reset: what is still on its way to the client is lost."""
    connection = client.get_extra_info("socket")
    if connection is not None and not client.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.transport.abort()


def _checked(fault: str) -> str:
    if fault not in FAULTS:
        raise ValueError(f"{fault!r} is none of the faults {', '.join(FAULTS)}")
    return fault
