"""Processes of our own: results in order, no second run of the program, and an end at once where the block raises."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from manifests.common.stopping import Stopped
from pipeline.common.processes import spawned


def _begin(folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    time.sleep(600)


def _stop_when_begun(folder: Path) -> None:
    with spawned(_begin, [(folder, number) for number in range(9)], 2):
        while not list(folder.iterdir()):
            time.sleep(0.02)
        raise Stopped


def test_each_call_has_its_result_and_the_program_that_asks_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, ran = ModuleType("__main__"), tmp_path / "ran"
    program.__file__ = str(tmp_path / "program.py")
    Path(program.__file__).write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.setitem(sys.modules, "__main__", program)
    with spawned(divmod, [(7, 2), (9, 4)], 1) as futures:
        assert [future.result() for future in futures] == [(3, 1), (2, 1)]
    assert sys.modules["__main__"] is program
    assert not ran.exists()


def test_a_stop_does_not_wait_for_calls_that_last(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(Stopped):
        _stop_when_begun(tmp_path)
    assert set(multiprocessing.active_children()) <= before
    assert len(list(tmp_path.iterdir())) <= 2
