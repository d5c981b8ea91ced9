"""A mapping whose values are made when they are asked for, and not kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class Lazily(Mapping[int, T]):
    """``numbers``, each with what ``make`` makes of it."""

    def __init__(self, numbers: Collection[int], make: Callable[[int], T]) -> None:
        self._numbers = numbers if isinstance(numbers, range) else dict.fromkeys(numbers)
        self._make = make

    def __getitem__(self, number: int) -> T:
        if number not in self._numbers:
            raise KeyError(number)
        return self._make(number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def only(self, numbers: Collection[int]) -> Lazily[T]:
        """The same of these numbers alone."""
        return Lazily(numbers, self._make)
