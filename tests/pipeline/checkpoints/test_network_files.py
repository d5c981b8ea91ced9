"""A weights file cannot ask for more than it holds: its metadata are bounded, and held against its tensors first."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from pipeline.checkpoints.state import load_metadata
from pipeline.generators.trained import load_generator
from pipeline.generators.trained_set import open_generators
from pipeline.reid.model import load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from tests.pipeline.tiny_generators import save_tiny, standing_poses


def say(path: Path, metadata: str | Mapping[str, Any]) -> None:
    """Give the file at ``path`` other metadata, its tensors as they are."""
    text = metadata if isinstance(metadata, str) else json.dumps({**load_metadata(path), **metadata})
    save_file(load_file(path), path, metadata={"metadata": text})


def with_settings(path: Path, **changes: Any) -> Mapping[str, str]:
    return {"settings": json.dumps({**json.loads(load_metadata(path)["settings"]), **changes})}


def refused(path: Path, said: str) -> None:
    for read in (load_generator, open_generators):
        with pytest.raises(UserError, match=rf"^[^\n]*{said}[^\n]*$"):
            read(str(path))  # type: ignore[operator]


@pytest.mark.parametrize("side", ["abc", "", "127", "-4", "0", "100000000", "1e3", "nan", "9" * 5000])
@pytest.mark.parametrize("name", ["height", "width"])
def test_sizes_are_bounded(name: str, side: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, "cyclegan")
    path = tmp_path / "generator.safetensors"
    say(path, {name: side})
    refused(path, f"{path} is no generator of this project: its {name} ")


@pytest.mark.parametrize("text", ["", "not JSON", "[1]", "[" * 100_000, '{"height": null}', '{"height": 64}', "NaN"])
def test_metadata_are_texts_in_json(text: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, "cyclegan")
    path = tmp_path / "generator.safetensors"
    say(path, text)
    refused(path, f"the metadata of {path} cannot be read: ")


@pytest.mark.parametrize(
    ("recipe", "changes", "said"),
    [
        ("cyclegan", {"ngf": 10**6}, "ngf: "),
        ("cyclegan", {"ngf": 1000}, "tensors differ, layers"),
        ("cyclegan", {"blocks": 10**9}, "blocks: "),
        ("cyclegan", {"blocks": 2}, "tensors differ, layers"),
        ("gan_lsro", {"noise_size": 10**9}, "noise_size: "),
        ("gan_lsro", {"noise_size": 60_000}, "tensors differ, layers.0.weight "),
        ("cgan", {"cameras": []}, "cgan does not know its cameras"),
        ("cgan", {"cameras": [2**31, 1]}, "cameras.0: "),
        ("cgan", {"cameras": list(range(5000))}, "tensors differ"),
        ("cgan", {"pose_classes": 3}, "3 classes of poses and 0 canonical poses"),
        ("camstyle_multidomain", {"cameras": [-1, 2]}, "cameras.0: "),
        ("pngan", {"canonical_poses": [[[0.5, 0.5]] * 5]}, "canonical_poses.0: "),
        ("pngan", {"canonical_poses": [[[0.5, float("nan")]] * 17]}, "canonical_poses.0.0.1: "),
        ("pngan", {"canonical_poses": [[[0.5, 1e30]] * 17]}, "canonical_poses.0.0.1: "),
    ],
)
def test_settings_are_those_of_the_tensors(recipe: str, changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    known: dict[str, dict[str, Any]] = {"pngan": {"canonical_poses": standing_poses()}}
    known |= {name: {"cameras": [1, 2]} for name in ("cgan", "camstyle_multidomain")}
    save_tiny(tmp_path, recipe, **known.get(recipe, {}))
    path = tmp_path / "generator.safetensors"
    say(path, with_settings(path, **changes))
    refused(path, said)


def test_a_size_that_its_network_cannot_have(tmp_path: Path) -> None:
    save_tiny(tmp_path, "gan_lsro")
    path = tmp_path / "generator.safetensors"
    say(path, {"height": "4096", "width": "2048"})
    refused(path, "does not fit its own settings: [0-9]+ tensors differ")
    say(path, {"height": "68", "width": "36"})
    refused(path, "a DCGAN of 3 doublings cannot make 68 x 36 images")


@pytest.mark.parametrize("missing", ["recipe", "settings", "height", "width"])
def test_nothing_may_be_missing(missing: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, "cyclegan")
    path = tmp_path / "generator.safetensors"
    say(path, json.dumps({name: value for name, value in load_metadata(path).items() if name != missing}))
    refused(path, "is no generator of this project: it does not say how to build it")


HEADERS: dict[str, Callable[[bytes], bytes]] = {
    "longer than the file": lambda data: struct.pack("<Q", len(data)) + data[8:],
    "longer than any memory": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "shorter than it is": lambda data: struct.pack("<Q", struct.unpack("<Q", data[:8])[0] - 9) + data[8:],
    "of tensors that are not there": lambda data: data[: len(data) // 2],
    "of nothing": lambda data: b"\0" * 8,
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_lies(case: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, "cyclegan")
    path = tmp_path / "generator.safetensors"
    path.write_bytes(HEADERS[case](path.read_bytes()))
    refused(path, f"cannot read the checkpoint {path}: ")


@pytest.fixture
def reid(tmp_path: Path) -> Path:
    network = build_network(NetworkSettings(channels=4), 2)
    save_reid(tmp_path / "reid.safetensors", network, 32, 16, ClassMap(("ann", "bob")))
    return tmp_path / "reid.safetensors"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_classes": str(2**31)}, "its num_classes '2147483648': "),
        ({"num_classes": "-4"}, "its num_classes '-4': "),
        ({"num_classes": "three"}, "its num_classes 'three': "),
        ({"num_classes": "3"}, "does not fit its own settings: 3 classes, 2 named"),
        ({"num_classes": "16000000", ClassMap.FOOTER_KEY: None}, "1 tensors differ, classifier.weight "),
        ({"height": "100000000"}, "its height '100000000': "),
        ({"width": "-8"}, "its width '-8': "),
        ({"reid_network": '{"channels": 1000000}'}, "channels"),
        ({"reid_network": '{"channels": 512}'}, "tensors differ, "),
        ({"reid_network": '{"backbone": "resnet50"}'}, "tensors differ, "),
        ({"reid_network": "{"}, "does not fit its own settings: "),
        ({ClassMap.FOOTER_KEY: "[" * 100_000}, "does not fit its own settings: "),
    ],
)
def test_a_reid_network_is_held_against_its_tensors_too(changes: dict[str, str], said: str, reid: Path) -> None:
    kept = {name: value for name, value in {**load_metadata(reid), **changes}.items() if value is not None}
    say(reid, json.dumps(kept))
    with pytest.raises(UserError, match=rf"^[^\n]*{said}[^\n]*$"):
        load_reid(reid)


def test_loading_leaves_the_random_numbers_of_others_alone(reid: Path, tmp_path: Path) -> None:
    save_tiny(tmp_path / "generator", "cyclegan")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_reid(reid)
    load_generator(tmp_path / "generator")
    assert torch.equal(torch.rand(2), expected)
