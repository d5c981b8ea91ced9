"""A training stops at the first step that is not finite, says which term, and keeps nothing of it."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from manifests.errors import UserError
from pipeline.common.finite import NotFiniteError, first_not_finite, naming
from pipeline.common.tensors import to_uint8
from pipeline.generators.recipes.base import Batch, StepContext, Terms
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
from pipeline.generators.training.loop import Training
from pipeline.generators.training.result import write_result
from pipeline.training.finite_watch import FiniteWatch, largest_gradient
from pipeline.training.state import Checkpoints
from pipeline.training.workers import ALONE
from tests.pipeline.generators.training.test_loop import SMALL, domains, training
from tests.pipeline.spoiled import spoiled

BAD = 3
"""The step, from 0, that is not finite."""


class Diverges(PTGAN):
    """Not finite in one step, in a term or in a gradient alone."""

    where = "term"

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        for player, terms in super().step(networks, batch, context):
            if context.step == BAD and player == "discriminators":
                weight = next(networks["source_judge"].parameters())
                # The root of 0 is 0, its slope is infinite.
                wrong = math.nan * weight.sum() if self.where == "term" else (0 * weight).square().sum().sqrt()
                terms = {**terms, "wrong": wrong}
            yield player, terms


class DivergesInGradient(Diverges):
    where = "gradient"


class Stopped(Training):
    """Gets SIGTERM in the step that is not finite."""

    def train_step(self) -> dict[str, torch.Tensor]:
        if self.step == BAD:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().train_step()


def diverging(output: Path, kind: type[Diverges] = Diverges, **changed: Any) -> Training:
    return training(output, kind(PTGANSettings(**SMALL)), **changed)


@pytest.mark.parametrize(
    ("kind", "what"),
    [(Diverges, "the loss term 'wrong'"), (DivergesInGradient, "the gradient of the discriminators")],
)
def test_the_first_bad_step_is_named_and_the_last_good_state_kept(
    tmp_path: Path, kind: type[Diverges], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = rf"^training stopped at step 4: {what} is not finite; [^\n]*step_000000002\.pt; [^\n]*--learning-rate[^\n]*$"
    for _ in range(2):  # the same command fails the same way
        run = diverging(tmp_path, kind, checkpoint_every=2, sample_every=1)
        with pytest.raises(NotFiniteError, match=said):
            run.run()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_000000002.pt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "samples", "tensorboard"]
    assert "nan" not in capsys.readouterr().out


def test_nothing_is_saved_at_sigterm(tmp_path: Path) -> None:
    run = diverging(tmp_path)
    run.__class__ = Stopped
    with pytest.raises(NotFiniteError, match=r"at step 4: [^\n]*no checkpoint was written before it"):
        run.run()
    assert not (tmp_path / "checkpoints").exists()


def test_the_log_is_never_told(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(NotFiniteError):
        diverging(tmp_path, steps=BAD + 1).run()  # the last step: logged and saved
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    told = [one.value for name in events.Tags()["scalars"] for one in events.Scalars(name)]
    assert all(map(math.isfinite, told))
    assert not (tmp_path / "checkpoints").exists()


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    run = training(tmp_path, steps=2)
    run.run()
    (kept,) = (tmp_path / "checkpoints").iterdir()
    bytes_before = kept.read_bytes()
    with torch.no_grad():
        next(run.networks["target_judge"].parameters())[0] = math.inf
    with pytest.raises(NotFiniteError, match=r"networks\.target_judge\.\S+ is not finite"):
        run.keep(Checkpoints(tmp_path, {}))
    assert [path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()] == [bytes_before]


def test_a_state_that_an_older_version_kept_is_refused(tmp_path: Path) -> None:
    training(tmp_path, steps=2).run()
    (kept,) = (tmp_path / "checkpoints").iterdir()
    state = torch.load(kept, weights_only=True)
    name, weight = next(iter(state["networks"].items()))
    weight.fill_(math.nan)
    torch.save(state, kept)
    with pytest.raises(UserError, match=rf"step_000000002\.pt is not finite \(networks\.{name}\): remove it"):
        training(tmp_path, steps=2).run()


def test_no_result_where_finite_weights_make_no_finite_picture(tmp_path: Path) -> None:
    run = training(tmp_path, steps=1)
    run.run()
    with torch.no_grad():
        for parameter in run.networks["source_to_target"].parameters():
            parameter.fill_(3e38)
    source, target = domains()
    with pytest.raises(NotFiniteError, match="the picture 'as target' is not finite"):
        write_result(run, {"source": source, "target": target}, {})
    assert not list(tmp_path.glob("generator*"))


def test_a_watch_answers_when_it_is_asked() -> None:
    watch = FiniteWatch()
    watch.settle()
    fine, wrong = torch.tensor(1.0), torch.tensor(math.inf, dtype=torch.bfloat16)
    watch.see("judge", {"real": fine, "fake": fine}, fine)
    watch.see("maker", {"cycle": wrong}, torch.tensor(math.nan))
    watch.end_step(7)
    with pytest.raises(NotFiniteError, match="at step 7: the loss term 'cycle' is not finite"):
        watch.settle()
    with pytest.raises(NotFiniteError, match="at step 9: the gradient of the maker"):
        watch.check_step(9, "maker", {"cycle": fine}, wrong)
    watch.check_step(10, "maker", {"cycle": fine}, fine)


def test_gradients_and_states() -> None:
    layer = nn.Linear(2, 2)
    assert largest_gradient(layer.parameters()) == 0
    layer.weight.grad, layer.bias.grad = torch.tensor([[1.0, -3e38], [3e38, 0]]), torch.zeros(2)
    assert largest_gradient(layer.parameters()) == pytest.approx(3e38), "great, and finite"
    layer.bias.grad[1] = math.nan
    assert largest_gradient(layer.parameters()).isnan()
    assert (
        first_not_finite({"a": [torch.ones(2), {"b": torch.tensor(1)}], "c": None, "d": "text", "e": math.nan}) is None
    )
    assert first_not_finite({"a": [torch.ones(2), {"b": torch.tensor([1, math.nan])}]}) == "a.1.b"
    assert first_not_finite({"a": torch.tensor([1e39], dtype=torch.float64)}) == "a", "as float32"
    assert first_not_finite((torch.tensor([complex(0, math.inf)]),)) == "0"
    with pytest.raises(NotFiniteError, match=r"^runs/market: no$"), naming("runs/market"):
        raise NotFiniteError("no")


def test_pixels_that_are_no_colour_are_refused() -> None:
    images = torch.zeros(3, 3, 4, 4)
    images[1, 2, 3, 3] = math.nan
    with pytest.raises(NotFiniteError, match="the pixels of 1 of 3 images are not finite"):
        to_uint8(images)


def test_a_preview_that_cannot_be_drawn_is_left_out(tmp_path: Path) -> None:
    run = training(tmp_path, steps=2, sample_every=1)
    spoiled(run.networks["source_to_target"])
    with pytest.raises(NotFiniteError, match="at step 1: "):
        run.run()
    assert not list((tmp_path / "samples").iterdir())


def test_one_worker_alone_shares_with_nobody() -> None:
    flags = torch.tensor([True, False])
    assert ALONE.all_true(flags) is flags
