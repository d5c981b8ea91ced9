"""Processes of our own, for work that Python's threads cannot share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from types import ModuleType
from typing import Any, TypeVar

import cv2

from manifests.common.stopping import not_for_children

T = TypeVar("T")


@contextmanager
def spawned(function: Callable[..., T], calls: Sequence[tuple[Any, ...]], count: int) -> Iterator[list[Future[T]]]:
    """``function`` of each of ``calls`` in ``count`` processes, which are killed where the block raises.

    Spawned, since a fork of a process that runs torch or OpenCV threads may hang. They import the function's module,
    and not the program that asks: a job's would bring torch, 2 seconds of CPU a process.
    """
    others = set(active_children())
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_one_thread)
    try:
        with not_for_children(), _without_main():
            futures = [pool.submit(function, *call) for call in calls]
        yield futures
    except BaseException:
        for child in set(active_children()) - others:
            child.kill()  # a call may last longer than a scheduler waits
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes started in the block do not run the main module's file, which multiprocessing sees to otherwise."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _one_thread() -> None:
    cv2.setNumThreads(1)
