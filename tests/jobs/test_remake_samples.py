"""The job as a user runs it, without Ray: drawn rows, named rows, statuses, files."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import polars
import pytest

from manifests.reading.dataset import Dataset
from pipeline.cluster.synthesize import prepare_synthesis
from tests.conftest import ToySources
from tests.manifests.run_records import rewrite_record
from tests.pipeline.tiny_synthesis import made, settings_of

JOB = Path(__file__).resolve().parents[2] / "jobs" / "remake_samples.py"
Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def dataset(toy_sources: ToySources, untrained_generator: str, tmp_path: Path) -> Dataset:
    settings = settings_of("ptgan", per_image=1)
    job = prepare_synthesis(toy_sources.market, None, untrained_generator, settings, annotations_uri=None)
    return made(job, tmp_path / "set")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*arguments: str) -> tuple[int, list[str], str]:
        """Exit status, the lines of stdout after the settings, stderr."""
        monkeypatch.setattr(sys, "argv", [str(JOB), *arguments])
        monkeypatch.syspath_prepend(str(JOB.parent))  # as Python does for a script
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(JOB), run_name="__main__")
        said = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out.splitlines()[1:], said.err

    return _run


def test_drawn_rows(dataset: Dataset, run: Run) -> None:
    status, lines, _ = run(dataset.uri, "--random", "3")
    assert (status, lines[-1]) == (0, "3 rows made again: 3 identical")
    assert len({line.partition(":")[0] for line in lines[:-1]}) == 3
    assert run(dataset.uri, "--random", "500")[1][-1] == "5 rows made again: 5 identical"


def test_named_rows_are_written_where_asked(dataset: Dataset, run: Run, tmp_path: Path) -> None:
    rows = dataset.read(["sample_id", "image"]).to_pylist()[:2]
    status, _, _ = run(dataset.uri, *(row["sample_id"][:20] for row in rows), "--output", str(tmp_path / "again"))
    assert status == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == {
        row["image"]["path"]: row["image"]["bytes"] for row in rows
    }


def test_another_environment_may_be_near(dataset: Dataset, run: Run) -> None:
    rewrite_record(dataset.uri, lambda state: state["run"]["settings"].update(precision="bfloat16"))
    status, lines, _ = run(dataset.uri, "--random", "1")
    assert status == 1
    assert "other pixels, PSNR " in lines[0]
    rewrite_record(dataset.uri, lambda state: state["run"]["environment"].update(fingerprint="another"))
    for least, expected in (("20", 0), ("90", 1)):
        status, lines, _ = run(dataset.uri, "--random", "1", "--min-psnr", least)
        assert status == expected
        assert lines[0].endswith("in another environment than the run's")
        assert lines[1].startswith("1 rows made again: 1 other pixels, PSNR ")
    rewrite_record(dataset.uri, lambda state: state["run"]["environment"]["libraries"].update(polars="0.1"))
    _, lines, _ = run(dataset.uri, "--random", "1")
    assert lines[0].endswith(f"in another environment than the run's (polars 0.1 -> {polars.__version__})")


def test_mistakes_are_one_line(dataset: Dataset, run: Run) -> None:
    for arguments, said in (
        ([dataset.uri], "which rows?"),
        ([dataset.uri, "abc", "--random", "2"], "which rows?"),
        ([dataset.uri, "zz"], "no row of"),
        ([f"{dataset.uri}-none", "abc"], "no data set at"),
        ([dataset.uri, "--random", "1", "--source", "nowhere"], "say --source"),
    ):
        status, _, err = run(*arguments)
        assert (status, err.count("\n")) == (2, 1)
        assert said in err
