"""Processes of our own, for work that Python's threads cannot share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

import cv2

from manifests.common.stopping import not_for_children

T = TypeVar("T")


@contextmanager
def spawned(function: Callable[..., T], calls: Sequence[tuple[Any, ...]], count: int) -> Iterator[list[Future[T]]]:
    """``function`` of each of ``calls`` in ``count`` processes, which are killed where the block raises.

    Spawned, since a fork of a process that runs torch or OpenCV threads may hang.
    """
    others = set(active_children())
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_one_thread)
    try:
        with not_for_children():
            futures = [pool.submit(function, *call) for call in calls]
        yield futures
    except BaseException:
        for child in set(active_children()) - others:
            child.kill()  # a call may last longer than a scheduler waits
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)
