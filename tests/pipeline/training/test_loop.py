"""The loop of every training: taken up from what is kept, stopped between steps, kept every so many steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.common.stopping import Stopped
from manifests.errors import UserError
from pipeline.training.log import LossTerms, StepLog
from pipeline.training.loop import Stepwise
from pipeline.training.state import Checkpoints, Kept, StateFile


class Sum(Stepwise):
    """Adds up the numbers of its steps; what it told is in ``told``."""

    def __init__(self, steps: int, stop: int | None = None) -> None:
        super().__init__(steps)
        self.stop = stop
        self.sum = torch.zeros(1)
        self.told: list[str] = []

    def train_step(self) -> LossTerms:
        self.step += 1
        self.sum = self.sum + self.step
        if self.step == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"sum": self.sum}

    def learning_rate(self) -> float:
        return 0.1 * self.step

    def state(self) -> dict[str, Any]:
        return {"sum": self.sum}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.sum = state["sum"]

    def open_log(self, output: Path) -> StepLog:
        return Told(self.told)

    def end_step(self, log: StepLog) -> None:
        self.told.append(f"end {self.step}")


class Told(StepLog):
    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self._told = told

    def add(self, step: int, terms: LossTerms, learning_rate: float) -> None:
        self._told.append(f"{step}: {float(terms['sum']):g} at {learning_rate:.1f}")

    def kept(self, step: int) -> None:
        self._told.append(f"kept {step}")

    def close(self) -> None:
        self._told.append("closed")


@pytest.fixture(params=["checkpoints", "one file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Checkpoints(tmp_path, {"seed": 1}) if request.param == "checkpoints" else StateFile(tmp_path / "state.pt")


def test_a_step_is_told_then_kept_then_ended(kept: Kept) -> None:
    whole = Sum(3)
    whole.run_steps(kept, every=2)
    assert whole.told == [
        *("1: 1 at 0.1", "end 1"),
        *("2: 3 at 0.2", "kept 2", "end 2"),
        *("3: 6 at 0.3", "kept 3", "end 3"),
        "closed",
    ]
    assert (kept.load("cpu") or {})["step"] == 3


def test_a_signal_keeps_the_step_and_the_next_run_goes_on(kept: Kept) -> None:
    stopped = Sum(5, stop=2)
    with pytest.raises(Stopped, match=rf"step 2 is kept in {kept.output}; the same command takes it up again"):
        stopped.run_steps(kept, every=100)
    assert stopped.told[-3:] == ["kept 2", "end 2", "closed"]
    resumed = Sum(5)
    resumed.run_steps(kept, every=100)
    assert resumed.told[0] == "3: 6 at 0.3"
    assert resumed.sum == 15
    again = Sum(5)
    again.run_steps(kept, every=100)
    assert (again.step, float(again.sum), again.told) == (5, 15, ["closed"])


def test_a_damaged_state_is_refused_in_a_line(kept: Kept) -> None:
    Sum(1).run_steps(kept, every=1)
    newest = kept.newest()
    assert newest is not None
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"^cannot read the checkpoint {newest}: [^\n]*; remove it to go on$"):
        Sum(2).run_steps(kept, every=1)


def test_the_newest_checkpoints_stay_and_name_their_run(tmp_path: Path) -> None:
    Sum(5).run_steps(Checkpoints(tmp_path, {"seed": 1}), every=1)
    files = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert files == ["step_000000004.pt", "step_000000005.pt"]
    with pytest.raises(UserError, match="was started with seed=1, now it is 2"):
        Sum(6).run_steps(Checkpoints(tmp_path, {"seed": 2}), every=1)
