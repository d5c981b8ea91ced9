"""Processes of our own, for work that Python's threads cannot share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2

from manifests.stopping import not_for_children

T = TypeVar("T")


@contextmanager
def spawned(function: Callable[..., T], calls: Sequence[tuple[Any, ...]], count: int) -> Iterator[list[Future[T]]]:
    """``function`` of each of ``calls`` in ``count`` processes; what was not begun is dropped when the block ends.

    Spawned, since a fork of a process that runs torch or OpenCV threads may hang.
    """
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_one_thread)
    try:
        with not_for_children():
            futures = [pool.submit(function, *call) for call in calls]
        yield futures
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)
