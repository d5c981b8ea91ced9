from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.__main__ import main
from manifests.format.schema import ANNOTATION_SCHEMA, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import teacher
from manifests.reading.dataset import open_dataset
from manifests.showing.trace import trace
from manifests.showing.trace_text import as_text
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, annotation_rows, sha, source_rows, synthetic_rows
from tests.manifests.run_records import rewrite_record

TRAINED_ON = {"source": {"images": 900, "dataset_ids": ["market", "msmt"]}, "target": {"images": 7}}


def write(uri: str, kind: Any, rows: pa.Table, run: dict[str, Any] | None = None) -> Dataset:
    footer = FOOTER if kind == "synthetic" else {}
    started = DatasetRun.start(uri, kind, PLAN_ID, {0: rows.num_rows}, footer=footer, run=run)
    started.sink.commit(0, rows)
    started.close()
    return open_dataset(uri)


@pytest.fixture
def sources(tmp_path: Path) -> Dataset:
    return write(str(tmp_path / "source"), "source", source_rows(6))


@pytest.fixture
def annotations(tmp_path: Path, sources: Dataset) -> Dataset:
    """Each image by two segmenters; the second stands."""
    digests = sources.read(["image_sha256"]).column(0).to_pylist()
    rows = [*annotation_rows(6).to_pylist(), *annotation_rows(6, "sam_vit_h").to_pylist()]
    for number, row in enumerate(rows):
        row["image_sha256"] = digests[number % 6]
    return write(str(tmp_path / "annotations"), "annotation", pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA))


def made_of(sources: Dataset, **changes: Any) -> pa.Table:
    """Six synthetic rows, each of a source image in the pose of the next."""
    digests = sources.read(["image_sha256"]).column(0).to_pylist()
    rows = synthetic_rows(0, 6).to_pylist()
    for number, row in enumerate(rows):
        used = (("content", digests[number]), ("pose", digests[(number + 1) % 6]))
        row["sources"] = [{"sha256": digest, "role": role, "dataset_id": "toyworld"} for role, digest in used]
        row.update(changes)
    return pa.Table.from_pylist(rows, schema=SYNTHETIC_SCHEMA)


def recorded(sources: Dataset, annotations: Dataset) -> dict[str, Any]:
    generator = {"role": "generator", "name": "night", "sha256": sha("generator"), "recipe": "ptgan"}
    return {
        "job": "synthesize",
        "settings": {"batch_size": 16, "splits": ["train", "query"], "teacher": None},
        "settings_sha256": sha("settings"),
        "checkpoints": [
            generator | {"licence": "CC-BY-4.0", "trained_on": TRAINED_ON, "uri": "runs/night"},
            {"role": "teacher", "name": "wise", "sha256": sha("teacher"), "recipe": "reid"},
            {"role": "pose", "name": "pose_tiny", "sha256": sha("judge")},
        ],
        "inputs": [{"role": "source", "id": "toyworld", "uri": sources.uri}],
        "annotations": {"uri": annotations.uri},
        "environment": {"fingerprint": "0123456789abcdef", "git_commit": "f" * 40, "git_dirty": True, "device": "cpu"},
    }


def test_the_whole_chain(sources: Dataset, annotations: Dataset, uri: str) -> None:
    dataset = write(uri, "synthetic", made_of(sources), recorded(sources, annotations))
    row, by_digest = dataset.read().to_pylist()[3], {r["image_sha256"]: r for r in sources.read().to_pylist()}
    chain = trace(dataset, row["sample_id"][:14])
    assert (chain.file, chain.row_in_file) == (dataset.snapshot.files[0].path, 3)
    assert [one.role for one in chain.sources] == ["content", "pose"]
    for one in chain.sources:
        source = by_digest[one.sha256]
        assert one.image is not None
        assert one.annotation is not None
        assert one.image.uri == sources.uri
        for key in ("relative_path", "identity", "camera"):
            assert getattr(one.image, key) == source[key]
        assert (one.annotation.segmenter, one.annotation.pose_sha256) == ("sam_vit_h", sha("pose"))
    (model,) = chain.models  # nothing of the teacher and the judge of poses is in this row
    assert (model.name, model.sha256, model.trained_on) == ("night", sha("generator"), TRAINED_ON)
    assert chain.run is not None
    assert chain.run.settings is not None
    assert chain.run.settings["batch_size"] == 16
    label = chain.label
    assert (label.rule, label.classes) == ("lsr", 3)
    assert [(one.identity, one.number) for one in label.listed] == [(row["identity"], row["hard_label"])]
    assert label.listed[0].probability + 2 * label.each_other == pytest.approx(1, abs=1e-6)


def test_the_chain_as_json(
    sources: Dataset, annotations: Dataset, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All columns but pictures, in the order of the schema; classes under the name that JSON has always had."""
    dataset = write(uri, "synthetic", made_of(sources), recorded(sources, annotations))
    row = dataset.read().to_pylist()[3]
    assert main(["trace", uri, row["sample_id"], "--json"]) == 0
    chain = json.loads(capsys.readouterr().out)
    pictures = ("image", "mask", "keypoints", "soft_label")
    assert list(chain["row"].items()) == [(name, row[name]) for name in SYNTHETIC_SCHEMA.names if name not in pictures]
    assert list(chain) == ["uri", "file", "row_in_file", "row", "label", "sources", "models", "run"]
    (listed,) = chain["label"]["listed"]
    assert list(listed) == ["class", "identity", "probability"]
    assert list(chain["sources"][0]) == ["sha256", "role", "dataset_id", "image", "annotation"]
    assert chain["models"][0]["trained_on"] == TRAINED_ON


def test_the_tree_that_people_see(
    sources: Dataset, annotations: Dataset, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = write(uri, "synthetic", made_of(sources), recorded(sources, annotations))
    row = dataset.read(["sample_id", "identity"]).to_pylist()[0]
    assert main(["trace", uri, row["sample_id"]]) == 0
    text = capsys.readouterr().out
    for part in (
        f"{row['sample_id']}, row 0 of {dataset.snapshot.files[0].path} in {uri}",
        f"├─ labelled by lsr 0.1 over 3 classes: {row['identity']} 0.933, each other 0.0333",
        "├─ on terms of all that went in: licence Apache-2.0, consent drawn by a program; shows nobody\n",
        "│  │  ├─ bounding_box_train/0000.jpg: identity 0000, camera 1, train",
        f"mask by sam_vit_h {sha('sam_vit_h')[:12]}, pose by pose_tiny {sha('pose')[:12]}, in {annotations.uri}",
        f"│  └─ generator night {sha('generator')[:12]}, licence CC-BY-4.0",
        "trained on 900 source images of market, msmt",
        "trained on 7 target images of an unnamed data set",
        f"settings {sha('settings')[:12]}: batch_size 16, splits train+query\n",
        "environment 0123456789abcdef on cpu, code ffffffffffff, changed",
        "asked for camera 3, domain duke-like; seed 7, draw 0",
    ):
        assert part in text, text


def test_a_teacher_and_a_judge_of_poses_are_named_where_they_took_part(
    sources: Dataset, annotations: Dataset, uri: str
) -> None:
    rows = made_of(sources, quality={"pose_error": 0.02})
    labels = teacher([[0.6, 0.3, 0.1]] * 6, 2)
    rows = pa.table({name: labels.get(name, rows.column(name)) for name in rows.column_names})
    dataset = write(uri, "synthetic", rows, recorded(sources, annotations))
    chain = trace(dataset, dataset.read(["sample_id"]).column(0)[0].as_py())
    assert [(one.role, one.name) for one in chain.models] == [
        ("generator", "night"),
        ("teacher", "wise"),
        ("pose", "pose_tiny"),
    ]
    assert "labelled by teacher over 3 classes: 0002 0.6, 0007 0.3, each other 0.1" in as_text(chain)


def test_inputs_that_have_moved(
    sources: Dataset, annotations: Dataset, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded(sources, annotations)
    dataset = write(uri, "synthetic", made_of(sources), run)
    name = dataset.read(["sample_id"]).column(0)[0].as_py()
    (tmp_path / "source").rename(tmp_path / "moved")
    chain = trace(dataset, name)
    assert [one.image for one in chain.sources] == [None, None]
    assert "not found, name its data set with --source" in as_text(chain)
    assert main(["trace", uri, name, "--source", str(tmp_path / "moved"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sources"]
    assert [one["image"]["uri"] for one in found] == [str(tmp_path / "moved")] * 2
    for arguments, said in (
        (["--source", sources.uri], "no data set at"),
        (["--source", uri], "holds synthetic rows, source rows are needed: see --source"),
        (["--annotations", str(tmp_path / "moved")], "holds source rows, annotation rows are needed"),
    ):
        assert main(["trace", uri, name, *arguments]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert said in err


def test_rows_of_noise_and_runs_of_which_nothing_is_known() -> None:
    place = "memory://trace/noise"
    rows = synthetic_rows(0, 2).to_pylist()
    for row in rows:
        row.update(recipe="gan_lsro", sources=[], subject_keys=[], identity=None, target=None, quality=None)
    dataset = write(place, "synthetic", pa.Table.from_pylist(rows, schema=SYNTHETIC_SCHEMA))
    dataset = rewrite_record(dataset.uri, lambda state: state["plan"].update(plan_id="another"))
    chain = trace(dataset, rows[0]["sample_id"])
    assert (chain.sources, chain.run) == ((), None)
    text = as_text(chain)
    for part in ("noise alone", "shows nobody in particular", "no run of it is recorded", "of unknown name"):
        assert part in text


def test_names_that_fit_no_row_or_several(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    ids = dataset.read(["sample_id"]).column(0).to_pylist()
    for name, said in (("zz", "no row of"), ("", "12 rows of"), (ids[0] + "0", "no row of")):
        assert main(["trace", dataset.uri, name]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert said in err
    assert all(trace(dataset, name).row.sample_id == name for name in ids)


def test_rows_that_come_from_no_others(sources: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", sources.uri, "0"]) == 2
    assert "only synthetic ones come from others" in capsys.readouterr().err


def test_an_empty_data_set(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    DatasetRun.start(uri, "synthetic", PLAN_ID, {}).close()
    assert main(["trace", uri, "0"]) == 2
    assert "no row of" in capsys.readouterr().err
