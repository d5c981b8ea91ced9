"""A device that is not there is one line, in every job."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from manifests.errors import UserError
from pipeline.cluster.session import check_device_of_job
from pipeline.common.devices import check_device
from pipeline.common.settings import options_of, parse_settings


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


JOBS = sorted(path.stem for path in Path(__file__).parents[3].joinpath("jobs").glob("[!_]*.py"))


ALSO_REQUIRED = {"choose_rows": ["--keep", "0.5"]}
"""Of settings of which one or the other must be named."""


def with_device(job: str) -> bool:
    return any(option.name == "device" for option in options_of(importlib.import_module(f"jobs.{job}").Settings))


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("job", JOBS)
def test_without_a_gpu_every_job_says_so_at_once(job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is drawn or made, or an input is opened: there is none at all these places."""
    if not with_device(job):
        pytest.skip("it computes on no device that can be chosen")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"jobs.{job}")
    given = ["--device", "cuda", *ALSO_REQUIRED.get(job, [])]
    for option in options_of(module.Settings):
        if option.required:
            given += ["nothing"] if option.positional else [option.flag, "nothing"]
    main = getattr(module, "main", None) or module.run
    with pytest.raises(UserError, match=r"^--device cuda: no CUDA GPU can be used here$"):
        main(parse_settings(module.Settings, given))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_gpu")
def test_a_cluster_may_have_what_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_device_of_job("cuda", "head:6379")
    with pytest.raises(UserError, match="--device cuda"):
        check_device_of_job("cuda", "head:6379", ray=False)
    with pytest.raises(UserError, match="--device cuda"):
        check_device_of_job("cuda", None)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    check_device_of_job("cuda", None)
