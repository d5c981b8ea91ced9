"""What is known of generators before they are loaded, and that only what was named is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import UserError
from pipeline.generators.recipes import RECIPES
from pipeline.generators.recipes.untrained import Untrained
from pipeline.generators.trained_set import PAIRS_FILE, SINGLE, open_generators
from tests.pipeline.tiny_generators import SIZE, save_tiny, save_tiny_pairs, standing_poses


def test_one_generator_by_folder_or_file(tmp_path: Path) -> None:
    sha256 = save_tiny(tmp_path, "cgan", cameras=(2, 3, 7))
    for name in (str(tmp_path), str(tmp_path / "generator.safetensors")):
        known = open_generators(name)
        assert (known.recipe.name, known.height, known.width) == ("cgan", *SIZE)
        assert known.members[SINGLE].sha256 == sha256
        assert known.cameras == (2, 3, 7)
        assert not known.pairs
        assert known.load(SINGLE, "cpu", "float32", 2).sha256 == sha256


def test_canonical_poses_travel_with_the_generator(tmp_path: Path) -> None:
    save_tiny(tmp_path, "pngan", canonical_poses=standing_poses())
    poses = open_generators(str(tmp_path)).canonical_poses
    assert poses.shape == (8, 17, 2)
    assert np.allclose(poses, standing_poses())


def test_pairs_of_cameras(tmp_path: Path) -> None:
    known = open_generators(save_tiny_pairs(tmp_path, (1, 2, 4)))
    assert known.pairs
    assert known.cameras == (1, 2, 4)
    assert sorted(known.members) == ["1->2", "1->4", "2->1", "2->4", "4->1", "4->2"]
    assert len({member.sha256 for member in known.members.values()}) == 6
    for name in ("1->2", "4->2"):
        assert known.load(name, "cpu", "float32", 2).sha256 == known.members[name].sha256


def change_list(folder: Path, **changes: object) -> None:
    file = folder / PAIRS_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_list_that_does_not_hold_is_one_line(tmp_path: Path) -> None:
    folder = save_tiny_pairs(tmp_path, (1, 2))
    change_list(tmp_path, cameras=[1])
    with pytest.raises(UserError, match=r"no list of camera pairs: cameras"):
        open_generators(folder)
    change_list(tmp_path, cameras=[1, 2], recipe="two\nlines")
    with pytest.raises(UserError, match=r"^\S+ is no list of camera pairs: recipe: .+$"):
        open_generators(folder)
    change_list(tmp_path, recipe="cyclegan")
    with pytest.raises(UserError, match="is a camstyle generator"):
        open_generators(folder)


@pytest.mark.parametrize("path", ["/etc/passwd", "../1_2/generator.safetensors", "1_2/../../x", "1_2\\x", ".x", ""])
def test_a_list_that_leads_out_of_its_folder_is_refused(path: str, tmp_path: Path) -> None:
    folder = save_tiny_pairs(tmp_path, (1, 2))
    listed = json.loads((tmp_path / PAIRS_FILE).read_text())["generators"]
    change_list(tmp_path, generators={**listed, "1->2": {**listed["1->2"], "path": path}})
    with pytest.raises(UserError, match=r"^[^\n]*no list of camera pairs: generators\.1->2\.path: [^\n]*$"):
        open_generators(folder)


def test_a_pair_that_is_missing_or_was_exchanged_is_named(tmp_path: Path) -> None:
    known = open_generators(save_tiny_pairs(tmp_path, (1, 2)))
    save_tiny(tmp_path / "1_2", "camstyle", seed=9)
    with pytest.raises(UserError, match="was expected"):
        known.load("1->2", "cpu", "float32", 2)
    with pytest.raises(UserError, match="was expected"):
        open_generators(str(tmp_path))
    (tmp_path / "1_2" / "generator.safetensors").unlink()
    with pytest.raises(UserError, match=r"1_2/generator.safetensors"):
        open_generators(str(tmp_path))


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="no generator of this project"):
        open_generators("sam_tiny")


def test_only_what_networks_make_is_said_to_be_a_trained_models() -> None:
    without = {name: recipe.source_type for name, recipe in RECIPES.items() if issubclass(recipe, Untrained)}
    colours = ("reinhard", "reinhard_cameras", "colour_jitter", "colour_jitter_cameras")
    assert without == dict.fromkeys(colours, "algorithmicallyEnhanced") | dict.fromkeys(
        ("pasted", "pasted_cameras", "part_warp"), "composite"
    )
    assert {RECIPES[name].source_type for name in RECIPES.keys() - without} == {"trainedAlgorithmicMedia"}
