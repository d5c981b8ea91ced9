"""`python -m manifests export`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifests.__main__ import main
from tests.manifests.exports.export_rows import nobody, synthetic_dataset


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ("market1501", "labels.parquet"),
        ("coco", "annotations/instances_train.json"),
        ("webdataset", "train-000000.tar"),
        ("huggingface", "samples_meta.table"),
    ],
)
def test_every_form_is_written(
    uri: str, output: Path, capsys: pytest.CaptureFixture[str], form: str, file: str
) -> None:
    synthetic_dataset(uri)
    assert main(["export", uri, "--to", form, "--output", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"12 images written to {output}\n")
    assert (output / file).is_file()
    assert (output / "README.md").is_file()


def test_notes_are_printed_and_given_to_programs(uri: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic_dataset(uri, lambda number, row: nobody(row))
    assert main(["export", uri, "--to", "market1501", "--output", str(output)]) == 0
    assert "\nnote: 12 training images show nobody in particular" in capsys.readouterr().out
    assert main(["export", uri, "--to", "market1501", "--output", f"{output}-2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["path"], said["images"], len(said["notes"])) == (f"{output}-2", 12, 1)


def test_where_and_shard_size(uri: str, output: Path) -> None:
    synthetic_dataset(uri)
    wanted = ["--where", "camera = 1", "--shard-mb", "1"]
    assert main(["export", uri, "--to", "webdataset", "--output", str(output), *wanted]) == 0
    assert len(list(output.glob("*.tar"))) == 1
    assert "- 7 rows, by their own columns: " in (output / "README.md").read_text(), "of those that were exported"


def test_not_into_the_data_set_itself(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic_dataset(uri)
    for form in ("market1501", "coco", "webdataset", "huggingface"):
        assert main(["export", uri, "--to", form, "--output", f"{uri}/inside"]) == 2
        assert "is inside the data set: choose a folder beside it" in capsys.readouterr().err
    assert not (Path(uri) / "inside").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "market1501", "--shard-mb", "8"], "--shard-mb is about tar shards: --to market1501 has none"),
        (["--to", "huggingface", "--where", "camera = 1"], "--to huggingface copies whole shards"),
        (["--to", "webdataset", "--renumber-cameras"], "--renumber-cameras is about file names: --to webdataset keeps"),
        (["--to", "market1501", "--annotations", "a"], "--annotations goes with --to coco"),
        (["--to", "coco", "--annotations", "nowhere"], "synthetic rows have masks and poses of their own"),
        (["--to", "market1501", "--where", "camera ="], "--where 'camera =':"),
        (["--to", "webdataset", "--where", "height = 1"], "holds no row where height = 1: nothing to export"),
    ],
)
def test_mistakes_are_one_line(
    uri: str, output: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    synthetic_dataset(uri)
    assert main(["export", uri, "--output", str(output), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
    assert not output.exists()


def test_a_folder_that_is_in_use_is_refused(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic_dataset(uri)
    assert main(["export", uri, "--to", "market1501", "--output", uri]) == 2
    assert capsys.readouterr().err == f"error: {uri} is there already: choose a new or an empty folder\n"
