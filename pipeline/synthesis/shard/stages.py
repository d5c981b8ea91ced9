"""Stages of a shard that run at the same time: threads get the next batches ready and finish the last ones while the
models have one in hand. What comes out, and in which order, depends on neither threads nor timing.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def ahead(
    threads: ThreadPoolExecutor, work: Callable[[_Item], _Made], items: Iterable[_Item], depth: int
) -> Iterator[_Made]:
    """``work`` on each of ``items`` by ``threads``, in their order, up to ``depth`` further than what is asked for.

    Raises what ``work`` raises, where the item's turn comes.
    """
    waiting: deque[Future[_Made]] = deque()
    for item in items:
        waiting.append(threads.submit(work, item))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def one_behind(items: Iterable[_Item]) -> Iterator[_Item]:
    """``items`` as they are, each handed on once the next is there."""
    waiting: deque[_Item] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


@contextmanager
def stage_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """``count`` threads; where an error or a signal ends what is inside, work that has not begun never does."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


class StageClock:
    """Seconds spent in each part of a shard; parts that run at the same time add up to more than all of it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._begun, self._lock = time.perf_counter(), Lock()

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent = time.perf_counter() - started
        with self._lock:
            self.seconds[part] += spent

    def timed(self, part: str, work: Callable[[_Item], _Made]) -> Callable[[_Item], _Made]:
        """``work``, measured as ``part``."""

        def measured(item: _Item) -> _Made:
            with self.measure(part):
                return work(item)

        return measured

    def rounded(self) -> dict[str, float]:
        """By part, and of the whole shard until now."""
        parts = {**self.seconds, "shard": time.perf_counter() - self._begun}
        return {f"{part}_seconds": round(value, 4) for part, value in sorted(parts.items())}
