"""Synthesis from Python: what the commands make, by the same settings, with mistakes in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.common.stopping import Stopped
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from pipeline import synthesize
from pipeline.common.progress import Progress
from tests.conftest import ToySources
from tests.jobs.in_process import run, without_ray
from tests.pipeline.tiny_generators import save_tiny


def settings(toy_sources: ToySources, annotations: str, generator: str) -> dict[str, Any]:
    given = {"source": toy_sources.market, "target": toy_sources.duke, "annotations": annotations}
    return {**given, "generator": generator, "per_image": 2, "shard_size": 3, "batch_size": 2, "limit": 4}


def files(data: Dataset) -> list[tuple[str, str]]:
    return [(entry.path, entry.sha256) for entry in data.snapshot.files]


def test_it_makes_what_the_command_makes(
    toy_sources: ToySources, toy_annotations: str, untrained_generator: str, tmp_path: Path
) -> None:
    given = settings(toy_sources, toy_annotations, untrained_generator)
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)]
    with without_ray():
        done = run("synthesize_duke_style.py", *flags, "--output", tmp_path / "by-command")
    assert done.returncode == 0, done.stderr
    command = open_dataset(str(tmp_path / "by-command"))
    threads = torch.get_num_threads()
    data = synthesize.duke_style(**given, output=str(tmp_path / "set"), ray=False)
    assert torch.get_num_threads() == threads
    assert data.snapshot.rows == 8
    assert (data.snapshot.plan_ids, files(data)) == (command.snapshot.plan_ids, files(command))
    records = [{name: one.run["run"][name] for name in ("settings", "inputs")} for one in (data, command)]
    assert records[0] == records[1]


@pytest.fixture
def _hears_ctrl_c() -> Iterator[None]:
    """As in a terminal; a shell's background job is started deaf."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears_ctrl_c")
def test_what_was_stopped_is_taken_up_and_what_is_complete_is_opened(
    toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "g", "gan_lsro")
    asked = {"generator": str(tmp_path / "g"), "images": 9, "shard_size": 3, "batch_size": 3, "ray": False}
    whole = synthesize.random_people(toy_sources.market, output="whole", **asked)
    advance = Progress.advance

    def interrupted(self: Progress, count: int = 1) -> None:
        advance(self, count)
        if self.done == 6:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "advance", interrupted)  # in the middle of the second shard
    with pytest.raises(Stopped, match=r"1 of 3 shards of .* are kept"):
        synthesize.random_people(toy_sources.market, output="broken", **asked)
    monkeypatch.setattr(Progress, "advance", advance)
    capsys.readouterr()
    broken = synthesize.random_people(toy_sources.market, output="broken", **asked)
    assert "6 images in 2 shards to make, 1 shards done before" in capsys.readouterr().out
    assert files(broken) == files(whole)
    assert synthesize.random_people(toy_sources.market, output="whole", **asked).snapshot == whole.snapshot
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": "/nowhere"}, r"^no data set at /nowhere: "),
        ({"target": "runs/duke"}, r"target without source: name both"),
        ({"per_image": 0}, r"^per_image: Input should be greater than or equal to 1 \(got 0\)$"),
        ({"perimage": 2}, r"^unknown setting 'perimage' \(did you mean per_image\?\); known: annotations, "),
        ({"dry_run": True}, r"^dry_run makes no data set"),
        ({"ray": False, "workers": 2}, r"^workers and ray_address are those of Ray"),
        ({"generator": "nobody"}, r"^[^\n]*nobody[^\n]*$"),
    ],
)
def test_a_mistake_is_one_line(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        synthesize.duke_style(**{"output": str(tmp_path / "set"), **given})
    assert not list(tmp_path.iterdir())


def test_what_is_told_by_help_imports_no_torch() -> None:
    kinds = ("camera_styles", "canonical_poses", "duke_style", "random_people")
    modules = ", ".join(f"jobs.synthesize_{kind}" for kind in kinds)
    program = f"import sys, {modules}; print({{'torch', 'ray'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


def test_a_run_goes_on_with_the_convolutions_that_it_began_with(
    toy_sources: ToySources, toy_annotations: str, untrained_generator: str, tmp_path: Path
) -> None:
    given = settings(toy_sources, toy_annotations, untrained_generator)
    given |= {"output": str(tmp_path / "set"), "ray": False}
    first = synthesize.duke_style(**given, convolutions="planar")
    assert synthesize.duke_style(**given).snapshot.plan_ids == first.snapshot.plan_ids, "as if tried on another machine"
    with pytest.raises(UserError, match="holds a finished data set of another plan"):
        synthesize.duke_style(**given, convolutions="channels_last")
