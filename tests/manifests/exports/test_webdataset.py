"""Tar shards, read back by the webdataset package."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from manifests.exports.webdataset import export_webdataset
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset, with_image
from tests.manifests.exports.test_marking import EXTENSION, SOURCE_TYPE, properties
from tests.manifests.manifest_rows import CLASSES


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "shards"


def test_webdataset_reads_images_and_facts(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri)
    assert export_webdataset(dataset, str(output)).images == 12
    samples = list(webdataset.WebDataset(str(output / "train-000000.tar"), shardshuffle=False).decode("pil"))
    rows = dataset.read().to_pylist()
    assert [sample["__key__"] for sample in samples] == [row["sample_id"] for row in rows]
    for sample, row in zip(samples, rows, strict=True):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert np.array_equal(np.array(sample["jpg"]), np.array(image))
        facts = {name: value for name, value in row.items() if name not in ("image", "mask")}
        assert sample["json"] == facts
        assert ("mask.png" in sample) == (row["mask"] is not None)
    assert json.loads((output / "classes.json").read_text()) == {"identities": list(CLASSES.identities)}


def test_webdataset_pairs_image_and_label_in_loader_workers(uri: str, output: Path) -> None:
    export_webdataset(synthetic_dataset(uri), str(output), shard_bytes=20_000)
    shards = sorted(map(str, output.glob("*.tar")))
    assert len(shards) > 2
    pairs = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg", "json")
    loader = webdataset.WebLoader(pairs, batch_size=None, num_workers=2)
    assert sum(image.size == (8, 16) and facts["hard_label"] in (0, 1, 2) for image, facts in loader) == 12


def test_images_carry_the_mark_of_their_origin(uri: str, output: Path) -> None:
    export_webdataset(synthetic_dataset(uri), str(output))
    with tarfile.open(output / "train-000000.tar") as tar:
        images = [tar.extractfile(member) for member in tar if member.name.endswith(".jpg")]
        found = [properties(image.read()) for image in images if image is not None]
    assert [one[f"{EXTENSION}DigitalSourceType"] for one in found] == [SOURCE_TYPE] * 12


def test_the_same_rows_give_the_same_bytes(uri: str, tmp_path: Path) -> None:
    dataset = synthetic_dataset(uri)
    digests = []
    for name in ("first", "second"):
        export_webdataset(dataset, str(tmp_path / name), shard_bytes=20_000)
        files = sorted((tmp_path / name).iterdir())
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("limit", [11_000, 20_480, 40_000])
def test_shards_stay_below_their_limit_and_samples_whole(uri: str, output: Path, limit: int) -> None:
    export_webdataset(synthetic_dataset(uri), str(output), shard_bytes=limit)
    shards = sorted(output.glob("*.tar"))
    assert [shard.name for shard in shards] == [f"train-{number:06d}.tar" for number in range(len(shards))]
    keys = []
    for shard in shards:
        with tarfile.open(shard) as tar:
            names = tar.getnames()
        keys += sorted({name.split(".")[0] for name in names})
        if len([name for name in names if name.endswith(".json")]) > 1:
            assert shard.stat().st_size <= limit
    assert len(keys) == len(set(keys)) == 12


def test_splits_have_shards_of_their_own(uri: str, output: Path) -> None:
    export_webdataset(source_dataset(uri), str(output))
    assert sorted(path.name for path in output.iterdir()) == ["README.md", "gallery-000000.tar", "train-000000.tar"]
    (first, *_) = webdataset.WebDataset(str(output / "gallery-000000.tar"), shardshuffle=False).decode("pil")
    assert first["json"]["role"] in ("distractor", "junk")


def test_where_and_other_formats(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: with_image(row, number, "WEBP"))
    exported = export_webdataset(dataset, str(output), "camera = 2")
    samples = list(webdataset.WebDataset(str(output / "train-000000.tar"), shardshuffle=False).decode("pil"))
    assert exported.images == len(samples) > 0
    assert all(sample["json"]["camera"] == 2 and sample["webp"].size == (8, 16) for sample in samples)
