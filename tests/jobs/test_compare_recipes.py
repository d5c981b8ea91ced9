"""The comparison of systems: trains, measures, writes a page; a second call measures nothing again."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from manifests.errors import UserError
from pipeline.common.settings import parse_settings
from pipeline.experiments.comparison import effects, laboratory
from pipeline.experiments.comparison.page import MEANINGS
from pipeline.experiments.comparison.systems import SYSTEMS, find_systems, system_of
from pipeline.experiments.transfer_quality import train_judge
from pipeline.generators.recipes import RECIPES
from pipeline.measures.sets import train_camera_classifier
from tests.jobs.test_train_generator import load_job

if TYPE_CHECKING:
    from tests.conftest import ToySources

job = load_job("compare_recipes")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.articles: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "article":
            self.articles.append(str(values["id"]))
        if tag == "img":
            self.pictures.append(str(values["src"]))


def compare(folder: Path, output: Path, *more: str) -> None:
    given = ["--world", str(folder), "--output", str(output), "--budget", "0.001", "--height", "64", "--width", "32"]
    job.main(
        parse_settings(job.Settings, [*given, "--reid-steps", "3", "--camera-pairs", "1", "--threads", "1", *more])
    )


@pytest.fixture
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instruments of a few steps, on a few images: what they say is not looked at."""
    monkeypatch.setattr(effects, "NOISE_IMAGES", 40)
    monkeypatch.setattr(laboratory, "train_camera_classifier", partial(train_camera_classifier, steps=3))
    monkeypatch.setattr(laboratory, "train_judge", partial(train_judge, steps=3))


@pytest.mark.usefixtures("_little")
def test_a_row_for_each_system(
    toy_sources: ToySources, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare_recipes.py"])
    systems = ["cgan", "camstyle", "ptgan"]
    compare(toy_sources.world, tmp_path, "--systems", ",".join(systems))
    page = Page((tmp_path / "comparison.html").read_text())
    assert page.articles == systems
    assert all(picture.startswith("data:image/png;base64,") for picture in page.pictures), "self-contained"
    records = json.loads((tmp_path / "comparison.json").read_text())["systems"]
    assert records["cgan"]["identity"]["steps"] == 3
    for record in records.values():
        assert set(record["figures"]) <= set(MEANINGS)
        assert all(value == value for value in record["figures"].values()), "no figure is missing"
    assert 0 <= records["camstyle"]["figures"]["camera_accuracy"] <= 1
    capsys.readouterr()
    compare(toy_sources.world, tmp_path, "--systems", ",".join(systems))
    assert capsys.readouterr().out.count("measured before") == 3


@pytest.mark.usefixtures("_little")
def test_between_cameras_all_are_measured_on_the_directions_that_they_share(
    toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare_recipes.py"])
    compare(toy_sources.world, tmp_path, "--systems", "camstyle,pasted_cameras")
    benchmark = load_job("between_cameras", "benchmarks")
    given = ["--world", str(toy_sources.world), "--comparisons", str(tmp_path), "--reid-steps", "3"]
    benchmark.main(parse_settings(benchmark.Settings, [*given, "--results", str(tmp_path / "results.json")]))
    [run] = json.loads((tmp_path / "results.json").read_text()).values()
    assert run["directions"] == [[1, 2], [2, 1]]
    of = {measured["system"]: measured["figures"] for measured in run["systems"]}
    untouched = ("camera_accuracy_untransferred", "fid_untransferred", "retrieval_untransferred")
    assert len({tuple(figures[name] for name in untouched) for figures in of.values()}) == 1, "of the same images"
    alone = json.loads((tmp_path / "camstyle" / "effect.json").read_text())["figures"]
    assert of["camstyle"] == pytest.approx(alone), "it was trained for no other"
    everywhere = json.loads((tmp_path / "pasted_cameras" / "effect.json").read_text())["figures"]
    assert of["pasted_cameras"]["fid"] != everywhere["fid"]


def test_what_cannot_be_measured_between_cameras_is_said_in_one_line(tmp_path: Path) -> None:
    benchmark = load_job("between_cameras", "benchmarks")

    def record(system: str, pairs: list[list[int]], seed: int = 0) -> None:
        (tmp_path / system).mkdir(exist_ok=True)
        identity = {"seed": seed, "size": [64, 32], "pairs": pairs, "steps": 1}
        (tmp_path / system / "effect.json").write_text(json.dumps({"identity": identity}))

    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match):
            benchmark.main(benchmark.Settings(world=tmp_path, comparisons=[tmp_path]))

    record("ptgan", [])
    refused("no system between cameras was measured in")
    record("personflow-cameras", [])
    record("camstyle", [[1, 2]], seed=1)
    refused(r"several seeds or sizes \(seed, height, width\): \[\(0, 64, 32\), \(1, 64, 32\)\]")
    shutil.rmtree(tmp_path / "camstyle")
    refused("no pair of cameras has a generator of every camstyle")


def test_every_recipe_is_in_the_table() -> None:
    assert {system.recipe for system in SYSTEMS.values()} == set(RECIPES) - {"pix2pix_cameras"}
    aims = {name for name, system in SYSTEMS.items() if system.recipe == "personflow"}
    assert aims == {"personflow-domains", "personflow-cameras", "personflow-poses"}
    assert system_of("personflow", "poses").name == "personflow-poses"
    assert system_of("ptgan", "poses") is SYSTEMS["ptgan"]
    assert [system.recipe for system in find_systems(["spgan", "cgan"])] == ["cgan", "spgan"]
    with pytest.raises(UserError, match="unknown system 'biggan'; known: gan_lsro"):
        find_systems(["biggan"])
    for system in SYSTEMS.values():
        RECIPES[system.recipe].settings_model.model_validate(dict(system.settings))
