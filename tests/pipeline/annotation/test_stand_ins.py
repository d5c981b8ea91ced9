"""What stands in for an unused part of a package is out of the way of whoever does use it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.annotation.stand_ins import standing_in

PACKAGE = "from .heavy import Tool, helper, nothing\nfrom .gone import Lost\nclass Known(Tool): pass\n"
HEAVY = "class Tool:\n    made = 3\n    def work(self): return 'worked'\ndef helper(x): return x + 1\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package that was imported without its part ``heavy`` and without ``gone``, which is nowhere."""
    folder = tmp_path / "stood_in_for"
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "heavy.py").write_text(HEAVY)
    monkeypatch.syspath_prepend(str(tmp_path))
    with standing_in(frozenset({"stood_in_for.heavy", "stood_in_for.gone"})):
        module = importlib.import_module("stood_in_for")
        with pytest.raises(RuntimeError, match=r"stood_in_for\.heavy\.helper is asked for while its package is"):
            module.helper(1)
    yield module
    for name in [name for name in sys.modules if name.startswith("stood_in_for")]:
        del sys.modules[name]


def test_it_is_not_imported_before_it_is_used(package: ModuleType) -> None:
    assert not isinstance(3, package.Tool)
    assert issubclass(package.Known, package.Tool)
    assert "stood_in_for.heavy" not in sys.modules


def test_whoever_uses_it_uses_the_true_one(package: ModuleType) -> None:
    tool = package.Tool()
    assert type(tool).__module__ == "stood_in_for.heavy"
    assert isinstance(tool, package.Tool)
    assert (tool.work(), package.Tool.made, package.helper(1)) == ("worked", 3, 2)


def test_what_is_not_there_refuses_by_name(package: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"stood_in_for\.gone\.Lost was not expected to be needed: No module"):
        package.Lost()
    with pytest.raises(RuntimeError, match=r"stood_in_for\.heavy\.nothing was not expected to be needed"):
        package.nothing()


def test_segment_anything_is_whole_for_others() -> None:
    importlib.import_module("pipeline.annotation.sam_fused")
    from segment_anything import SamPredictor

    from pipeline.annotation.sam_tiny import build_sam_tiny

    assert type(SamPredictor(build_sam_tiny())).__module__ == "segment_anything.predictor"
