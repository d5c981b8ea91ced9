"""Worlds on disk: names, splits, truth, and that neither processes nor interruptions change a byte."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from manifests.errors import UserError
from pipeline.sources.toyworld import TRUTH_SCHEMA, ToyWorldSettings, make_toyworld
from pipeline.sources.toyworld.plan import plan_world
from tests.jobs.in_process import run

SETTINGS = ToyWorldSettings(
    identities=6, seed=4, images_per_camera=2, height=64, width=32, distractors=4, junk=3, domains=("market-like",)
)
NAME = re.compile(r"^(-1|\d{4})_c(\d)s(\d)_(\d{6})_(\d{2})\.jpg$")


def quiet(done: int, total: int) -> None:
    """No progress line."""


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "world"
    make_toyworld(SETTINGS, root, workers=1, progress=quiet)
    return root


def test_something_is_done_while_other_processes_draw(tmp_path: Path) -> None:
    seen = list[list[int]]()
    finished = list[int]()
    for _ in range(2):  # the second time all is there
        make_toyworld(
            SETTINGS.model_copy(update={"images_per_camera": 1}),
            tmp_path / "world",
            workers=2,
            progress=lambda done, total: finished.append(done),
            meanwhile=lambda: seen.append(list(finished)),
        )
    assert seen == [[0]]
    assert finished[-1] > 0


def names(world: Path, folder: str) -> list[re.Match[str]]:
    found = [NAME.match(path.name) for path in sorted((world / "market-like" / folder).iterdir())]
    assert all(found)
    return [match for match in found if match]


def test_names_and_splits(world: Path) -> None:
    train, query, gallery = (names(world, folder) for folder in ("bounding_box_train", "query", "bounding_box_test"))
    of = {split: {m[1] for m in matches} for split, matches in (("t", train), ("q", query), ("g", gallery))}
    assert of["t"] == {"0001", "0003", "0005"}
    assert of["q"] == {"0002", "0004", "0006"}
    assert of["g"] == of["q"] | {"0000", "-1"}
    pairs = [(m[1], m[2]) for m in query]
    assert len(pairs) == len(set(pairs)), "one query for each person and camera"
    assert set(pairs) == {(m[1], m[2]) for m in gallery if m[1] in of["q"]}
    for identity in of["t"] | of["q"]:
        assert len({m[2] for m in train + query if m[1] == identity}) >= 2
    assert sum(m[1] == "-1" for m in gallery) == 3
    assert sum(m[1] == "0000" for m in gallery) == 4


def test_truth_has_one_row_for_each_image(world: Path) -> None:
    table = pq.read_table(world / "market-like" / "ground_truth" / "annotations.parquet")
    assert table.schema.equals(TRUTH_SCHEMA)
    rows = table.to_pylist()
    images = {str(p.relative_to(world / "market-like")) for p in (world / "market-like").rglob("*.jpg")}
    assert {row["path"] for row in rows} == images
    assert len(rows) == len(images)
    for row in rows:
        picture = cv2.imread(str(world / "market-like" / row["path"]))
        mask = cv2.imdecode(np.frombuffer(row["mask"], np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture.shape == (64, 32, 3)
        assert mask.shape == (64, 32)
        assert set(np.unique(mask)) <= {0, 255}
        assert row["mask"][24] == 1, "one bit a pixel"
        assert len(row["keypoints"]) == (0 if row["kind"] == "empty" else 17)
        assert row["identity"] == int(Path(row["path"]).name.split("_")[0])


def test_processes_do_not_change_a_byte(world: Path, tmp_path: Path) -> None:
    make_toyworld(SETTINGS, tmp_path / "two", workers=2, progress=quiet)
    assert digests(tmp_path / "two") == digests(world)


def test_a_stopped_run_is_taken_up(world: Path, tmp_path: Path) -> None:
    root = tmp_path / "stopped"

    def stop(done: int, total: int) -> None:
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_toyworld(SETTINGS, root, workers=1, progress=stop)
    assert not (root / "world.json").exists()
    torn = next(iter((root / "market-like" / "bounding_box_train").iterdir()))
    kept = {path.name: path.stat().st_mtime_ns for path in (root / ".partial").glob("*.parquet")}
    assert kept
    steps: list[int] = []
    make_toyworld(SETTINGS, root, workers=1, progress=lambda done, total: steps.append(done))
    assert steps[0] > 0, "finished chunks are not drawn again"
    assert torn.exists()
    assert digests(root) == digests(world)


def test_a_finished_world_is_left_alone(world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    record = make_toyworld(SETTINGS, world, workers=1, progress=quiet)
    assert record["counts"]["market-like"]["junk"] == 3
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before


def test_other_content_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="other settings"):
        make_toyworld(SETTINGS.model_copy(update={"seed": 5}), world, progress=quiet)
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        make_toyworld(SETTINGS, tmp_path, progress=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(UserError, match="cannot write"):
        make_toyworld(SETTINGS, tmp_path / "precious.txt" / "world", progress=quiet)


def test_a_whole_market_has_unique_names() -> None:
    tasks = plan_world(ToyWorldSettings(identities=1501, images_per_camera=4, distractors=2793, junk=3000))
    for domain in ("market-like", "duke-like"):
        mine = [task for task in tasks if task.domain == domain]
        assert len({task.path for task in mine}) == len(mine)
        train = {task.identity for task in mine if task.split == "train"}
        test = {task.identity for task in mine if task.split != "train"} - {-1, 0}
        assert not train & test
        assert len(train | test) == 1501
        assert all(NAME.match(Path(task.path).name) for task in mine)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--identities", "1"], "--identities"),
        (["--domains", "moon-like"], "moon-like"),
        (["--cameras", "3"], "--cameras"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_a_faulty_setting_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run("make_toyworld.py", "--output", tmp_path / "new", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert said in result.stderr
    assert not (tmp_path / "new").exists()
