"""The questions that docs/looking.md asks of a data set, run as they stand there."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from manifests.format.schema import SYNTHETIC_SCHEMA
from manifests.format.soft_labels import expand
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, source_rows, synthetic_rows
from tests.pages.markdown import DOCS, blocks

PAGE = DOCS / "looking.md"

Row = dict[str, Any]


def code_blocks() -> list[str]:
    """Those below the page's second heading."""
    text = PAGE.read_text(encoding="utf-8")
    head = text[: text.index("\n## Ask it questions\n")].count("\n")
    return [block.text for block in blocks(PAGE) if block.language == "python" and block.line > head]


def write(uri: str, kind: Any, rows: list[Row], schema: pa.Schema) -> Dataset:
    run = DatasetRun.start(uri, kind, PLAN_ID, {0: len(rows)}, footer=FOOTER if kind == "synthetic" else {})
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=schema))
    run.close()
    return open_dataset(uri)


@pytest.fixture
def sources(tmp_path: Path) -> list[Row]:
    """Eight source images, where the page looks for them."""
    rows = source_rows(8)
    return (
        write(f"{tmp_path}/runs/demo/sources/market-like", "source", rows.to_pylist(), rows.schema).read().to_pylist()
    )


@pytest.fixture
def rows(tmp_path: Path, sources: list[Row]) -> list[Row]:
    """Rows of two recipes, rules and generators, each of a source image; one also in the pose of another."""
    made = synthetic_rows(0, 12).to_pylist()
    for number, row in enumerate(made):
        used = [("content", sources[number % 4])] + ([("pose", sources[0])] if number == 5 else [])
        row["sources"] = [{"sha256": one["image_sha256"], "role": role, "dataset_id": "toyworld"} for role, one in used]
        row["quality"] |= {"foreground_fidelity": number / 20, "identity_similarity": 0.9 if number % 3 == 0 else None}
        if number % 2:
            row |= {"recipe": "pngan", "label_rule": "lsro", "soft_label": [], "soft_label_rest": 1 / 3}
            row |= {"label_epsilon": None, "checkpoint_sha256s": [sha("another")]}
    return write(f"{tmp_path}/runs/demo/dataset", "synthetic", made, SYNTHETIC_SCHEMA).read().to_pylist()


@pytest.fixture
def answers(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[pl.DataFrame]:
    """What the section prints, block after block."""
    monkeypatch.chdir(tmp_path)
    printed: list[pl.DataFrame] = []
    known: dict[str, Any] = {"print": printed.append}
    for block in code_blocks():
        assert len(block.strip().splitlines()) <= 4
        exec(block, known)
    assert len(printed) == 5
    return printed


def test_how_many_by_pair_of_cameras(answers: list[pl.DataFrame], rows: list[Row], sources: list[Row]) -> None:
    taken = {one["image_sha256"]: one["camera"] for one in sources}
    expected = Counter((taken[row["sources"][0]["sha256"]], row["camera"]) for row in rows)
    assert {(a, b): count for a, b, count in answers[0].iter_rows()} == expected


def test_the_least_reliable_people(answers: list[pl.DataFrame], rows: list[Row]) -> None:
    scores = defaultdict(list)
    for row in rows:
        quality = row["quality"]
        likeness = quality["identity_similarity"]
        scores[row["identity"]].append(quality["foreground_fidelity"] if likeness is None else likeness)
    expected = sorted((float(np.mean(values)), name, len(values)) for name, values in scores.items())
    assert answers[1]["identity"].to_list() == [name for _, name, _ in expected]
    assert answers[1]["score"].to_list() == pytest.approx([score for score, _, _ in expected])
    assert answers[1]["len"].to_list() == [count for _, _, count in expected]


def test_all_that_came_from_one_image(answers: list[pl.DataFrame], rows: list[Row], sources: list[Row]) -> None:
    image = sources[0]["image_sha256"]
    expected = {row["sample_id"] for row in rows if image in {source["sha256"] for source in row["sources"]}}
    assert set(answers[2]["sample_id"]) == expected
    assert len(expected) == 4


def test_label_entropy_by_recipe(answers: list[pl.DataFrame], rows: list[Row]) -> None:
    dense = expand(pa.Table.from_pylist(rows, schema=SYNTHETIC_SCHEMA)).astype(np.float64)
    entropy = -(dense * np.log(dense)).sum(axis=1)
    for recipe, _, nats, count in answers[3].iter_rows():
        chosen = np.array([row["recipe"] == recipe for row in rows])
        assert nats == pytest.approx(entropy[chosen].mean(), rel=1e-5)
        assert count == chosen.sum()
    assert set(answers[3]["recipe"]) == {"ptgan", "pngan"}


def test_rows_of_one_generator(answers: list[pl.DataFrame], rows: list[Row]) -> None:
    generator = rows[0]["checkpoint_sha256s"]
    expected = {row["sample_id"] for row in rows if row["checkpoint_sha256s"] == generator}
    assert set(answers[4]["sample_id"].explode()) == expected
    assert 0 < len(expected) < len(rows)
