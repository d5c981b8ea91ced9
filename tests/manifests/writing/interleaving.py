"""Every way in which two commands can take turns at one storage, up to a number of preemptions; and every kill.

Two real commands run as greenlets and change over only before a call of the storage. A
schedule says after how many calls of whom: ``(3, 7)`` is three calls of the first, seven of the second, the first to
its end, the second to its end. `explore` runs every schedule of up to ``preemptions`` cuts, and every such schedule in
which whoever was cut last is killed there; complete at that bound. Left out is only what is the same as another:
a cut after a call that the other's next turn does not interfere with is the cut before it (partial order reduction).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import pyarrow as pa
from greenlet import getcurrent, greenlet

from manifests.errors import UserError
from manifests.storage.whole_files import Entry, Stat

Files = dict[str, tuple[bytes, float]]
Command = Callable[[], Any]


class Call(NamedTuple):
    """One call of the storage: what it does, and to which file or folder."""

    kind: str
    path: str

    @property
    def changes(self) -> bool:
        return self.kind in ("write", "create", "delete")

    def interferes(self, other: Call) -> bool:
        """Whether the order of the two can matter."""
        if not (self.changes or other.changes):
            return False
        folders = {one.path for one in (self, other) if one.kind == "list"}
        return self.path == other.path or any(
            one.path.startswith(f"{folder}/" if folder else "") for one in (self, other) for folder in folders
        )


class Killed(BaseException):
    """Ends a command where it stands: no handler of errors sees it, and nothing more of it reaches the storage."""


class Actor:
    """A command that stands still until it is told to go on."""

    def __init__(self, command: Command) -> None:
        self.calls: list[Call] = []
        self.error: BaseException | None = None
        self._command = command
        self._until = 0
        self._thread = greenlet(self._run)

    def proceed(self, calls: int | None = None) -> list[Call]:
        """Let it make so many calls more, or all that are left; what they were."""
        done = len(self.calls)
        self._until = done + calls if calls is not None else sys.maxsize
        if not self._thread.dead:
            self._thread.switch()
        return self.calls[done:]

    def kill(self) -> None:
        self.error = Killed()
        self._thread.throw(self.error)

    def before(self, call: Call) -> None:
        """Stand still before ``call`` until the turn is there."""
        if isinstance(self.error, Killed):
            raise self.error
        if len(self.calls) == self._until:
            self._thread.parent.switch()
        self.calls.append(call)

    def _run(self) -> None:
        _ACTORS[getcurrent()] = self
        try:
            self._command()
        except (Exception, Killed) as error:
            self.error = error


_ACTORS: WeakKeyDictionary[greenlet, Actor] = WeakKeyDictionary()


class TurnStorage:
    """A storage in memory before each call of which an `Actor` may be made to stand still."""

    def __init__(self, uri: str, files: Files, now: float) -> None:
        self.uri = uri
        self.files = files
        self.now = now
        self.changed: Callable[[], None] = lambda: None

    def read(self, path: str) -> bytes | None:
        self._turn("read", path)
        return self.files[path][0] if path in self.files else None

    def read_all(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        return map(self.read, paths)

    def stat(self, path: str) -> Stat | None:
        data = self.read(path)
        return None if data is None else Stat(len(data), hashlib.sha256(data).hexdigest())

    def open(self, path: str) -> pa.NativeFile:
        data = self.read(path)
        if data is None:
            raise UserError(f"cannot read {self.locate(path)}: No such file or directory")
        return pa.BufferReader(data)

    @contextmanager
    def writer(self, path: str) -> Iterator[BytesIO]:
        stream = BytesIO()
        yield stream
        self.write(path, stream.getvalue())

    def write(self, path: str, data: bytes | memoryview) -> None:
        self._turn("write", path)
        self.files[path] = bytes(data), self.now
        self.changed()

    def create(self, path: str, data: bytes) -> bool:
        self._turn("create", path)
        if path in self.files:
            return False
        self.files[path] = data, self.now
        self.changed()
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        self._turn("list", prefix)
        below = f"{prefix}/" if prefix else ""
        return sorted(Entry(path, len(data), at) for path, (data, at) in self.files.items() if path.startswith(below))

    def delete(self, path: str) -> None:
        self._turn("delete", path)
        self.files.pop(path, None)
        self.changed()

    def locate(self, path: str) -> str:
        return f"{self.uri}/{path}"

    def _turn(self, kind: str, path: str) -> None:
        if actor := _ACTORS.get(getcurrent()):
            actor.before(Call(kind, path))


@dataclass
class Outcome:
    """Where a schedule led: what is stored then, and how each command ended."""

    schedule: tuple[int, ...]
    first: int
    killed: bool
    files: Files
    errors: tuple[BaseException | None, BaseException | None]
    turns: list[list[Call]]
    """The calls of each turn."""

    @property
    def key(self) -> str:
        """The same for outcomes that nothing tells apart."""
        said = [(path, data) for path, (data, _) in sorted(self.files.items())]
        ends = [type(error).__name__ + str(error) for error in self.errors]
        return hashlib.sha256(repr((said, ends)).encode()).hexdigest()

    def __str__(self) -> str:
        taken = ", ".join(f"{one} calls of {(self.first + turn) % 2}" for turn, one in enumerate(self.schedule))
        return f"{taken}{', killed there' if self.killed else ''}, then on; {self.errors}"


World = Callable[[Files], tuple[TurnStorage, Sequence[Command]]]
"""Sets the scene on files of its own: a storage and two commands that use it."""


def explore(world: World, base: Files, preemptions: int) -> Iterator[Outcome]:
    """Every outcome of two commands that begin at ``base``."""
    for first in (0, 1):
        yield from _deeper(world, base, first, _run(world, base, first, ()), preemptions)


def _deeper(world: World, base: Files, first: int, parent: Outcome, preemptions: int) -> Iterator[Outcome]:
    """``parent``, and the schedules that cut its last free turn short, at every call of it."""
    yield parent
    place = len(parent.schedule)
    if place == preemptions:
        return
    turn = parent.turns[place]
    before = parent.turns[place - 1][-1] if place else None
    shorter: Outcome | None = None
    for length in range(1, len(turn)):
        last = turn[length - 1]
        if before and not any(before.interferes(call) for call in turn[:length]):
            continue  # the turn before might as well have ended a call earlier
        schedule = (*parent.schedule, length)
        if last.changes:
            yield _run(world, base, first, schedule, kill=True)
        if shorter and not any(last.interferes(call) for call in shorter.turns[place + 1]):
            continue  # this turn might as well have ended a call earlier
        shorter = _run(world, base, first, schedule)
        yield from _deeper(world, base, first, shorter, preemptions)


def _run(world: World, base: Files, first: int, schedule: tuple[int, ...], kill: bool = False) -> Outcome:
    storage, commands = world(dict(base))
    actors = [Actor(command) for command in commands]
    order = [actors[(first + turn) % 2] for turn in range(len(schedule) + 2)]
    turns = [actor.proceed(calls) for actor, calls in zip(order, schedule, strict=False)]
    if kill:
        order[len(schedule) - 1].kill()
    turns += [actor.proceed() for actor in order[len(schedule) :]]
    errors = actors[0].error, actors[1].error
    return Outcome(schedule, first, kill, storage.files, errors, turns)
