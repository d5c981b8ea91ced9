"""A device that is not there is one line, in every job that computes in its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import jobs.evaluate_reid
import jobs.score_dataset
import jobs.train_generator
import jobs.train_reid
from manifests.errors import UserError
from pipeline.common.devices import check_device
from pipeline.common.settings import parse_settings
from pipeline.generators.recipes import RECIPES

if TYPE_CHECKING:
    from tests.conftest import ToySources


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_devices_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    check_device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cuda", "cuda:0", "cuda:1"):
        check_device(device)
    with pytest.raises(UserError, match="--device cuda:2: the GPUs here are numbered 0 to 1"):
        check_device("cuda:2")


def test_a_shipped_generator_is_opened_without_pytorchs_compiler() -> None:
    """Its import takes longer than all else that a worker does before its first image."""
    name = "personflow_market_like_to_duke_like"
    opened = f"from pipeline.generators.trained_set import open_generators; open_generators('{name}')"
    run = f"import sys; {opened}; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", run], check=False).returncode == 0


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_every_job_says_so(toy_sources: ToySources, tmp_path: Path) -> None:
    output, cuda = ["--output", str(tmp_path / "out")], ["--device", "cuda"]
    source = toy_sources.market
    generator = jobs.train_generator.settings_for(RECIPES["gan_lsro"])
    commands = [
        (jobs.train_reid.main, jobs.train_reid.Settings, ["--train", source, *output]),
        (jobs.evaluate_reid.main, jobs.evaluate_reid.Settings, ["--model", "none", "--eval", source]),
        (jobs.score_dataset.main, jobs.score_dataset.Settings, [source, "--model", "none"]),
        (jobs.train_generator.main, generator, ["--recipe", "gan_lsro", "--source", source, *output]),
    ]
    for main, model, arguments in commands:
        with pytest.raises(UserError, match="--device cuda: no CUDA GPU can be used here"):
            main(parse_settings(model, [*arguments, *cuda]))
    assert not (tmp_path / "out").exists()
