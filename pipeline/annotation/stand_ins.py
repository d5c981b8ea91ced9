"""Imports of a large package without the parts that go unused: those are stood in for while it is imported.

Who shares the process may use them all the same: a stand-in that is called, or asked for more than its name, sends on
to the true one, which is imported then.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def standing_in(names: frozenset[str]) -> Iterator[None]:
    """Imports of the modules ``names`` succeed in the block, as stand-ins; those that are not installed refuse, by
    name, to be used.

    Neither a stand-in nor an import hook is left behind; modules that were imported before are not touched.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if parent in sys.modules and isinstance(vars(sys.modules[parent]).get(child), _StandIn):
                delattr(sys.modules[parent], child)


class _Missing(type):
    """Type of the stand-in classes: they can be named, subclassed and annotated with; the rest is the true one's."""

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return _true(cls)(*arguments, **named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_true(cls), name)

    def __instancecheck__(cls, instance: object) -> bool:
        # Nobody has an instance of what was never imported.
        true = getattr(sys.modules.get(cls.__module__), cls.__name__, cls)
        return isinstance(true, type) and true is not cls and isinstance(instance, true)


def _true(cls: type) -> Any:
    """What ``cls`` stands in for.

    Raises:
        RuntimeError: its module is not installed, has no such name, or is still stood in for.
    """
    try:
        true = getattr(importlib.import_module(cls.__module__), cls.__name__)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(f"{cls.__module__}.{cls.__qualname__} was not expected to be needed: {error}") from error
    if true is cls:
        raise RuntimeError(f"{cls.__module__}.{cls.__qualname__} is asked for while its package is imported without it")
    return true


class _StandIn(ModuleType):
    """A module that holds any name, each a class that stands in for what has it in the true module."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # a package, so that submodules are looked for

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        missing = _Missing(name, (), {"__module__": self.__name__})
        setattr(self, name, missing)
        return missing


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands first in ``sys.meta_path``: several of the modules are installed. Those imported before stay."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in self.names else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names appear when they are asked for."""
