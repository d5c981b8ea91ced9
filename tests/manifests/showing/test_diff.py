from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.__main__ import main
from manifests.format.schema import SCHEMAS
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.showing.diff import diff
from manifests.showing.diff_text import as_text
from manifests.showing.difference import Alone, RowsAlone
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import CLASSES, PLAN_ID, annotation_rows, reject_rows, source_rows, synthetic_rows

Row = dict[str, Any]
Write = Callable[..., Dataset]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a data set: ``change`` alters each row, or drops it by returning False."""
    written = []

    def _write(
        rows: pa.Table,
        change: Callable[[int, Row], bool | None] = lambda number, row: None,
        run: dict[str, Any] | None = None,
        classes: ClassMap = CLASSES,
        rejected: int = 0,
        plan_id: str = PLAN_ID,
    ) -> Dataset:
        kind, schema = next(one for one in SCHEMAS.items() if set(one[1].names) == set(rows.column_names))
        kept = [row for number, row in enumerate(rows.to_pylist()) if change(number, row) is not False]
        uri = str(tmp_path / str(len(written)))
        footer = {ClassMap.FOOTER_KEY: classes.to_json()} if kind == "synthetic" else {}
        started = DatasetRun.start(uri, kind, plan_id, {0: len(kept) + rejected}, footer=footer, run=run)
        started.sink.commit(0, pa.Table.from_pylist(kept, schema=schema), reject_rows(rejected) if rejected else None)
        started.close()
        written.append(uri)
        return open_dataset(uri)

    return _write


def only(number: int, **values: Any) -> Callable[[int, Row], None]:
    def change(index: int, row: Row) -> None:
        if index == number:
            row.update(values)

    return change


@pytest.mark.parametrize("rows", [synthetic_rows(0, 6), source_rows(6), annotation_rows(6)])
def test_the_same_rows_are_the_same(rows: pa.Table, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = write(rows), write(rows)
    found = diff(first, second)
    assert found.same
    assert (found.rows, found.both, found.changed) == ((6, 6), 6, {})
    assert main(["diff", first.uri, second.uri]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "same"


def test_rows_that_one_has_alone(write: Write) -> None:
    rows = synthetic_rows(0, 6)
    ids = rows.column("sample_id").to_pylist()
    found = diff(write(rows, lambda number, row: number > 1), write(rows, lambda number, row: number != 4))
    assert not found.same
    assert (found.both, found.changed) == (3, {})
    assert found.only_first == RowsAlone(1, (ids[4],))
    assert (found.only_second.rows, sorted(found.only_second.examples)) == (2, sorted(ids[:2]))


@pytest.mark.parametrize(
    ("aspect", "values"),
    [
        ("pixels", {"pixel_sha256": "0" * 64}),
        ("bytes", {"image_sha256": "0" * 64}),
        ("labels", {"soft_label": [{"idx": 0, "val": 0.5}, {"idx": 1, "val": 0.5}]}),
        ("labels", {"soft_label_rest": 0.25}),
        ("quality", {"quality": {"style_shift": None, "pose_error": 0.5}}),
        ("provenance", {"sources": []}),
        ("provenance", {"draw": 9}),
        ("terms", {"licence": "CC-BY-4.0"}),
        ("terms", {"consent_basis": None}),
        ("other columns", {"camera": None}),
        ("other columns", {"mask": b"another"}),
    ],
)
def test_what_changed_in_a_row(aspect: str, values: Row, write: Write) -> None:
    rows = synthetic_rows(0, 6)
    found = diff(write(rows), write(rows, only(3, **values)))
    assert (found.same, found.both, list(found.changed), found.changed[aspect].rows) == (False, 6, [aspect], 1)
    (example,) = found.changed[aspect].examples
    assert example.key == rows.column("sample_id")[3].as_py()
    assert list(example.values) == list(values)
    before, after = example.values[next(iter(values))]
    assert before != after


def test_the_difference_as_json(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts and examples stand apart, under the names that JSON has always had; what is the same is empty."""
    rows = synthetic_rows(0, 6)
    ids = rows.column("sample_id").to_pylist()
    first, second = write(rows), write(rows, lambda number, row: row.update(draw=9) if number == 3 else number != 4)
    assert main(["diff", first.uri, second.uri, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert list(found.items())[1:] == [
        ("uris", [first.uri, second.uri]),
        ("same", False),
        ("rows", [6, 5]),
        ("both", 5),
        ("only_first", 1),
        ("only_second", 0),
        ("changed", {"provenance": 1}),
        *((name, {}) for name in ("settings", "models", "inputs", "classes")),
        ("rejected", []),
        (
            "examples",
            {
                "only_first": [ids[4]],
                "only_second": [],
                "provenance": [{"key": ids[3], "values": {"draw": [0, 9]}}],
            },
        ),
        ("environments", [[], []]),
        ("libraries", {}),
    ]


def test_an_image_counts_by_its_digest_and_the_plan_not_at_all(write: Write) -> None:
    rows = synthetic_rows(0, 6)
    second = write(rows, lambda number, row: row.update(plan_id="other", image={"bytes": b"?"}), plan_id="other")
    assert diff(write(rows), second).same


def test_annotations_are_told_apart_by_their_models(write: Write) -> None:
    both = pa.concat_tables([annotation_rows(3), annotation_rows(3, "sam_vit_h")])
    found = diff(write(both), write(both, only(4, mask_quality=0.1)))
    assert (found.both, list(found.changed), found.changed["mask"].rows) == (6, ["mask"], 1)
    changed = found.changed["mask"].examples[0]
    assert changed.values == {"mask_quality": (pytest.approx(0.9), pytest.approx(0.1))}
    assert diff(write(both), write(annotation_rows(3))).only_first.rows == 3


def record(batch_size: int, generator: str, market: str, uri: str = "here", fingerprint: str = "same") -> Row:
    return {
        "settings": {"batch_size": batch_size, "seed": 0},
        "checkpoints": [{"role": "generator", "name": "night", "sha256": generator * 64}],
        "inputs": [{"role": "source", "id": "market", "digest": market * 64, "uri": uri}],
        "environment": {"fingerprint": fingerprint, "libraries": {"opencv-python": "5.0.0", "numpy": fingerprint}},
    }


def test_what_differs_between_the_runs(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    rows = synthetic_rows(0, 6)
    first = write(rows, run=record(16, "a", "c"))
    moved = write(rows, run=record(16, "a", "c", "there", "another"))
    found = diff(first, moved)
    assert found.same
    assert found.environments == (("same",), ("another",))
    assert found.libraries == {"numpy": ("same", "another")}
    assert 'environment: "same" -> "another"\nmade with numpy: "same" -> "another"' in as_text(found)
    second = write(rows, run=record(8, "b", "d"), classes=CLASSES.without(["0007"]), rejected=2)
    assert main(["diff", first.uri, second.uri]) == 1
    text = capsys.readouterr().out
    for line in (
        "setting batch_size: 16 -> 8",
        "generator only in A: night (aaaaaaaaaaaa)",
        "source only in B: market (dddddddddddd)",
        'rejected: {} -> {"corrupt": 2}',
        "classes with a name: 3 -> 2; numbers are the same",
        "different",
    ):
        assert line in text.splitlines()
    assert main(["diff", first.uri, second.uri, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["settings"] == {"batch_size": [16, 8]}


def test_settings_of_several_runs_count_together(write: Write) -> None:
    rows = [synthetic_rows(shard, 2, plan_id) for shard, plan_id in enumerate((PLAN_ID, "cd" * 32))]
    first = write(rows[0], run=record(16, "a", "c"))
    second = write(rows[0], run=record(16, "a", "c"))
    more = DatasetRun.start(
        second.uri, "synthetic", "cd" * 32, {0: 2}, footer=second.footer, run=record(8, "a", "c"), append=True
    )
    more.sink.commit(0, rows[1])
    more.close()
    found = diff(first, open_dataset(second.uri))
    assert (found.only_second.rows, found.settings) == (2, {"batch_size": (16, [16, 8])})
    assert found.models == found.inputs == Alone((), ())


def test_the_text_names_some_rows(write: Write) -> None:
    rows = synthetic_rows(0, 12)
    found = diff(write(rows), write(rows, lambda number, row: row.update(draw=5) if number < 7 else number != 8))
    text = as_text(found)
    assert "other provenance: 7 rows" in text
    assert text.count(": draw 0 -> 5") == 3
    assert f"only in A: 1 rows: {rows.column('sample_id')[8].as_py()}\n" in text


def test_two_kinds_and_nothing_at_all(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(synthetic_rows(0, 2))
    for second, said in ((write(source_rows(2)).uri, "only data sets of one kind"), (f"{tmp_path}/no", "no data set")):
        assert main(["diff", first.uri, second]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert said in err


def test_an_object_store_and_an_empty_data_set(write: Write) -> None:
    run = DatasetRun.start("memory://diff/set", "synthetic", PLAN_ID, {})
    run.close()
    empty = open_dataset("memory://diff/set")
    assert diff(empty, empty).same
    assert diff(empty, write(synthetic_rows(0, 3))).only_second.rows == 3
