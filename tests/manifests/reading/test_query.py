from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from manifests.__main__ import main
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from manifests.reading.query import metadata, query, rows_where
from manifests.reading.summary import sample_rows, spread_places, summarize
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, synthetic_rows


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("camera = 2", lambda number, row: row["camera"] == 2),
        ("quality.style_shift >= 0.27", lambda number, row: row["quality"]["style_shift"] >= 0.27),
        ("target.camera = 3 AND identity IN ('0002', '0011')", lambda number, row: row["identity"] != "0007"),
        ("keypoints IS NULL", lambda number, row: row["keypoints"] is None),
        ("row_number > 8", lambda number, row: number > 8),
        ("camera = 99", lambda number, row: False),
    ],
)
def test_the_rows_that_a_condition_picks(
    dataset: Dataset, condition: str, holds: Callable[[int, dict[str, Any]], bool]
) -> None:
    rows = dataset.read().to_pylist()
    assert rows_where(dataset, condition).tolist() == [number for number, row in enumerate(rows) if holds(number, row)]


def test_only_the_chosen_rows_are_summed_up_and_shown(dataset: Dataset) -> None:
    chosen = rows_where(dataset, "camera = 2")
    summary = summarize(dataset, chosen)
    assert (summary.rows, summary.matching, summary.counts["camera"]) == (12, 5, {"2": 5})
    assert sample_rows(dataset, 3, chosen)["camera"].to_list() == [2, 2, 2]
    places = spread_places(dataset, 100, chosen)
    starts = np.array([0, 7, 12])[places.column("file").to_numpy()]
    assert (starts + places.column("row").to_numpy()).tolist() == chosen.tolist()
    assert spread_places(dataset, 3, chosen[:0]).num_rows == 0


def test_show_where(dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = str(tmp_path / "sheet.png")
    assert main(["show", dataset.uri, "--where", "identity = '0011'", "--sample", "9", "--output", sheet]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "3 rows match" in lines
    assert "identity      1 identities, 3 to 3 rows each (median 3)" in lines
    with Image.open(sheet) as image:
        assert image.size == (2 * 100 + 4, 2 * 196 + 4)
    assert main(["show", dataset.uri, "--where", "camera = 99", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["matching"] == 0
    assert main(["show", dataset.uri, "--where", "camera = 99", "--sample", "1", "--output", sheet]) == 2
    assert "no pictures to draw: 0 synthetic rows that match" in capsys.readouterr().err


def test_show_sql(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    statement = "SELECT camera, COUNT(*) AS rows, MAX(quality.style_shift) AS best FROM data GROUP BY camera ORDER BY 1"
    assert main(["show", dataset.uri, "--sql", statement, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(row["camera"], row["rows"]) for row in answer] == [(1, 7), (2, 5)]
    assert main(["show", dataset.uri, "--sql", statement]) == 0
    assert "│ 1      ┆ 7    ┆" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "camra = 2"], 'unable to find column "camra"'),
        (["--where", "mask IS NULL"], 'unable to find column "mask"'),
        (["--where", "("], "it cannot be parsed: "),
        (["--where", "camera"], "must be of type `Boolean`"),
        (["--where", "quality.beauty > 1"], "no field 'beauty'; known: "),
        (["--where", "quality.beauty > 1"], "quality.style_shift"),
        (["--where", "identity ~ '(['"], "unclosed character class"),
        (["--where", "SUM(camera) > 3"], "one answer for all rows together"),
        (["--sql", "SELECT * FROM rows"], "there is no table 'rows'; one SELECT about the table 'data'"),
        (["--sql", "SELECT image FROM data"], 'unable to find column "image"'),
        (["--sql", "SELECT FROM WHERE"], "--sql 'SELECT FROM WHERE'"),
        (["--sql", "SELECT 1", "--sample", "3", "--output", "x.png"], "choose them by --where"),
    ],
)
def test_a_question_without_sense_is_one_line(
    arguments: list[str], said: str, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", dataset.uri, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


def test_an_object_store_and_an_empty_data_set(uri: str) -> None:
    for place, count in (("memory://query/set", 3), (uri, 0)):
        run = DatasetRun.start(place, "synthetic", PLAN_ID, {0: count} if count else {}, footer=FOOTER)
        if count:
            run.sink.commit(0, synthetic_rows(0, count))
        run.close()
        dataset = open_dataset(place)
        assert len(rows_where(dataset, "camera >= 1")) == count
        assert query(dataset, "SELECT COUNT(sample_id) AS rows FROM data").item() == count


def test_no_question_reads_pictures(dataset: Dataset) -> None:
    plan = metadata(dataset).filter(pl.sql_expr("camera = 2")).select("identity").explain()
    assert "PROJECT 2/" in plan
    assert not {"image", "mask"} & set(metadata(dataset).collect_schema().names())


@pytest.mark.parametrize(
    "arguments",
    [
        *(["show", "--where", "camera = 3"], ["show", "--sql", "SELECT camera FROM data"], ["show"], ["report"]),
        *(["export", "--to", "market1501", "--where", "camera = 3"], ["erase", "--identity", "0002"], ["describe"]),
    ],
)
def test_a_missing_shard_is_one_line(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    Path(dataset.files()[1]).unlink()
    command, *others = arguments
    if command in ("export", "report"):
        others += ["--output", str(tmp_path / "out.html")]
    assert main([command, dataset.uri, *others]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert f"{dataset.files()[1]}" in error


@pytest.mark.parametrize(
    "statement",
    [
        *("DROP TABLE data", "DELETE FROM data", "TRUNCATE TABLE data", "CREATE TABLE x AS SELECT 1", ""),
        *(
            "SELECT * FROM read_parquet('/nope')",
            "SELECT * FROM read_csv ('/etc/hostname')",
            "SELECT 1; DROP TABLE data",
        ),
        "WITH t AS (SELECT * FROM read_json('x')) SELECT * FROM t",
        *("SELECT * FROM read_csv/**/('x')", "SELECT * FROM \"read_csv\"('x')", "SELECT \"a'b\" FROM read_csv('x')"),
    ],
)
def test_nothing_but_one_select_about_the_data(dataset: Dataset, statement: str) -> None:
    with pytest.raises(UserError, match="one SELECT about the table 'data' is answered, and nothing else"):
        query(dataset, statement)


def test_words_in_quotes_are_values(dataset: Dataset) -> None:
    answer = query(dataset, "WITH t AS (SELECT camera, 'read_csv(;' AS word FROM data) SELECT word FROM t LIMIT 1;")
    assert answer["word"].to_list() == ["read_csv(;"]
