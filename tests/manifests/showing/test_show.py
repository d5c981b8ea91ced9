from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from manifests.__main__ import main
from manifests.reading.summary import summarize
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import PLAN_ID, annotation_rows, source_rows


def test_show_for_people(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", dataset.uri, "--rows", "3"]) == 0
    text = capsys.readouterr().out
    assert "12 rows in 3 files" in text
    assert "3 rejected of 15 planned" in text
    for line in (
        "recipe        ptgan: 12",
        "label_rule    lsr: 12",
        "camera        1: 7 · 2: 5",
        "target_camera 3: 12",
        "identity      3 identities, 3 to 5 rows each (median 4)",
        "licence       Apache-2.0: 12",
        "consent_basis drawn by a program; shows nobody: 12",
        "size          8x16: 12",
        "rejected      corrupt: 1 · too_dark: 2",
    ):
        assert line in text.splitlines(), text
    assert "style_shift" in text
    assert "sharpness" not in text
    assert text.count("│ 000") == 0
    assert text.count("duke-like ┆") == 3


def test_show_for_programs(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", dataset.uri, "--json", "--rows", "2"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["counts"]["camera"] == {"1": 7, "2": 5}
    assert value["identities"] == {"0002": 5, "0007": 4, "0011": 3}
    assert value["scores"]["style_shift"]["rows"] == 12
    assert value["digest"] == dataset.digest()
    assert len(value["sample"]) == 2


@pytest.mark.parametrize("asked", ["7", "0007", "007"])
def test_rows_of_one_person_by_number(dataset: Dataset, asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", dataset.uri, "--json", "--rows", "9", "--identity", asked]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["matching"], {row["identity"] for row in value["sample"]}) == (4, {"0007"})
    assert main(["show", dataset.uri, "--json", "--identity", "70"]) == 0
    assert json.loads(capsys.readouterr().out)["matching"] == 0


@pytest.mark.parametrize("kind", ["source", "annotation"])
def test_show_and_validate_take_every_kind(kind: str, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = DatasetRun.start(uri, kind, PLAN_ID, {0: 8})  # type: ignore[arg-type]
    run.sink.commit(0, source_rows(8) if kind == "source" else annotation_rows(8))
    run.close()
    assert main(["show", uri]) == 0
    text = capsys.readouterr().out
    assert f"{kind} data set at" in text
    assert ("role          distractor: 2 · junk: 2 · person: 4" in text) == (kind == "source")
    assert ("mask_quality" in text) == (kind == "annotation")
    assert main(["validate", uri]) == 0


def test_the_summary_reads_no_pictures(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str] | None] = []
    whole = Dataset.read_file

    def watched(self: Dataset, entry: object, columns: object = None) -> object:
        asked.append(columns)  # type: ignore[arg-type]
        return whole(self, entry, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(Dataset, "read_file", watched)
    summarize(dataset)
    assert asked
    assert all(columns is not None and not {"image", "mask"} & set(columns) for columns in asked)


def test_a_sheet_of_pictures(dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "sheet.png"
    assert main(["show", dataset.uri, "--sample", "8", "--output", str(output)]) == 0
    with Image.open(output) as sheet:
        assert sheet.size == (4 * 100 + 4, 2 * 196 + 4)
        assert len(sheet.crop((4, 4, 100, 196)).getcolors(1 << 20) or []) > 50
    for arguments in (["--sample", "8"], ["--sample", "8", "--output", str(tmp_path / "none" / "x.png")]):
        assert main(["show", dataset.uri, *arguments]) == 2
    assert "error: cannot write" in capsys.readouterr().err


def test_a_picture_that_is_none_is_a_grey_cell(uri: str, tmp_path: Path) -> None:
    rows = source_rows(1)
    broken = [{"bytes": b"not a picture", "path": "x.jpg"}]
    column = rows.column_names.index("image")
    rows = rows.set_column(column, "image", pa.array(broken, rows.schema.field("image").type))
    run = DatasetRun.start(uri, "source", PLAN_ID, {0: 1})
    run.sink.commit(0, rows)
    run.close()
    output = tmp_path / "sheet.png"
    assert main(["show", uri, "--sample", "1", "--output", str(output)]) == 0
    with Image.open(output) as sheet:
        assert sheet.getpixel((50, 100)) == (128, 128, 128)


def test_annotations_have_no_pictures_to_draw(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = DatasetRun.start(uri, "annotation", PLAN_ID, {0: 2})
    run.sink.commit(0, annotation_rows(2))
    run.close()
    assert main(["show", uri, "--sample", "2", "--output", "x.png"]) == 2
    assert "holds no pictures" in capsys.readouterr().err


def test_files_lists_the_snapshots_files(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["files", dataset.uri]) == 0
    assert capsys.readouterr().out.split() == dataset.files()


def test_validate_says_what_is_wrong_by_its_status(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", dataset.uri]) == 0
    assert "12 synthetic rows in 5 files: ok" in capsys.readouterr().out
    broken = Path(dataset.files()[0])
    broken.write_bytes(b"not parquet")
    assert main(["validate", dataset.uri]) == 1
    assert f"digest: data/{broken.name}: " in capsys.readouterr().out
    assert main(["validate", dataset.uri, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["ok"], {fault["file"] for fault in value["faults"]}) == (False, {f"data/{broken.name}"})


@pytest.mark.parametrize("command", ["show", "validate", "files", "describe"])
def test_a_mistake_is_one_line_and_status_two(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err == f"error: no data set at {tmp_path / 'nothing'}: " + (
        "it has no run.json and no snapshot\n"
    )


def test_the_module_runs_without_torch_and_ray(dataset: Dataset) -> None:
    code = (
        "import sys; from manifests.__main__ import main; status = main(sys.argv[1:]); "
        "print(sorted({'torch', 'ray', 'cv2', 'pipeline'} & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "validate", dataset.uri], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "[]", "")
