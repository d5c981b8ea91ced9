"""Imports of a large package without the parts that go unused: those are stood in for while it is imported."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def standing_in(names: frozenset[str]) -> Iterator[None]:
    """Imports of the modules ``names`` succeed in the block, as stand-ins whose classes refuse, by name, to be called.

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
    """Type of the stand-in classes: they can be named, subclassed and annotated with, never made."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{cls.__module__}.{cls.__qualname__} is not loaded: it was not expected to be needed")


class _StandIn(ModuleType):
    """A module that holds any name, each a class that refuses to be called."""

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
