"""Rows for PyTorch, by its own DataLoader, with forked and spawned workers."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, DistributedSampler

from manifests.disk import parquet
from manifests.errors import UserError
from manifests.exports.torch import IdentitySampler, ReIDDataset, RowGroupSampler, dense_labels
from manifests.format.soft_labels import ClassMap, expand
from manifests.writing.run import Dataset
from tests.manifests.exports.export_rows import nobody, source_dataset, synthetic_dataset
from tests.manifests.manifest_rows import CLASSES, picture


def mixed(number: int, row: dict[str, Any]) -> None:
    """Labels that list one class, none, and three."""
    if number % 3 == 1:
        nobody(row)
    if number % 3 == 2:
        entries = [{"idx": 2, "val": 0.5}, {"idx": 0, "val": 0.375}, {"idx": 1, "val": 0.125}]
        row |= {"soft_label": entries, "soft_label_rest": 0.0, "label_rule": "teacher", "label_epsilon": None}


@pytest.fixture
def grouped(uri: str, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 3)
    return synthetic_dataset(uri, mixed)


def test_a_row_is_image_label_camera_and_identity(grouped: Dataset) -> None:
    data = ReIDDataset(grouped.uri)
    rows = grouped.read()
    dense = expand(rows)
    assert len(data) == 12
    assert data.num_classes == 3
    for number, row in enumerate(rows.to_pylist()):
        item = data[number]
        assert list(item) == ["image", "label", "hard_label", "camera", "identity"]
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), np.array(picture))
        assert (item["image"].dtype, item["image"].shape) == (torch.uint8, (3, 16, 8))
        assert item["label"].dtype == torch.float32
        assert np.array_equal(item["label"].numpy(), dense[number])
        assert item["hard_label"] == data.hard_labels[number] == row["hard_label"]
        assert item["camera"] == (-1 if row["camera"] is None else row["camera"])
        assert item["identity"] == (row["identity"] or "")
    assert data[-1]["identity"] == data[11]["identity"]
    with pytest.raises(IndexError):
        data[12]


@pytest.mark.parametrize(("workers", "context"), [(0, None), (2, "fork"), (1, "spawn")])
def test_workers_give_the_same_batches(grouped: Dataset, workers: int, context: str | None) -> None:
    data = ReIDDataset(grouped.uri, label="compact", cache_bytes=0)
    data[0]  # what one process has opened must not disturb the others
    loader = DataLoader(data, batch_size=5, num_workers=workers, multiprocessing_context=context)
    batches = list(loader)
    assert [len(batch["image"]) for batch in batches] == [5, 5, 2]
    expected = expand(grouped.read())
    dense = [
        dense_labels(batch["label_index"], batch["label_value"], batch["label_rest"], data.num_classes)
        for batch in batches
    ]
    assert np.array_equal(torch.cat(dense).numpy(), expected)
    images = torch.cat([batch["image"] for batch in batches])
    assert torch.equal(images, torch.stack([data[number]["image"] for number in range(12)]))


def test_identity_batches_through_a_loader(uri: str) -> None:
    data = ReIDDataset(synthetic_dataset(uri).uri)
    loader = DataLoader(data, batch_sampler=IdentitySampler(data.hard_labels, people=2, images=3), num_workers=2)
    batches = list(loader)
    assert len(batches) == len(loader) > 0
    for batch in batches:
        assert batch["image"].shape == (6, 3, 16, 8)
        assert batch["label"].shape == (6, 3)
        assert sorted(batch["hard_label"].unique(return_counts=True)[1].tolist()) == [3, 3]


def test_processes_of_a_training_see_different_rows(grouped: Dataset) -> None:
    data = ReIDDataset(grouped.uri, columns=["sample_id"])
    for sampler in (
        lambda rank: DistributedSampler(data, 2, rank),
        lambda rank: RowGroupSampler(data.row_groups, window=2, rank=rank, world_size=2),
    ):
        seen = [
            {name for batch in DataLoader(data, 4, sampler=sampler(rank)) for name in batch["sample_id"]}
            for rank in (0, 1)
        ]
        assert len(seen[0]) == len(seen[1]) == 6
        assert not seen[0] & seen[1]


def test_a_copy_for_a_worker_is_small(grouped: Dataset) -> None:
    data = ReIDDataset(grouped.uri)
    before = data[5]
    packed = pickle.dumps(data)
    assert len(packed) < 4000
    assert torch.equal(pickle.loads(packed)[5]["image"], before["image"])


def test_transform_and_columns(uri: str) -> None:
    dataset = synthetic_dataset(uri)
    columns = ("image", "sample_id", "quality", "subject_keys")
    data = ReIDDataset(dataset.uri, columns, transform=lambda image: image.float().mean(dim=(1, 2)))
    item = data[3]
    (row,) = dataset.read(["sample_id", "quality", "subject_keys"]).slice(3, 1).to_pylist()
    assert item.pop("image").shape == (3,)
    assert item == row
    with pytest.raises(UserError, match="label='dens': a label is dense or compact"):
        ReIDDataset(dataset.uri, label="dens")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no columns \\['height_of_person'\\]; there are image, label"):
        ReIDDataset(dataset.uri, ["image", "height_of_person"])


def test_where_chooses_rows(uri: str) -> None:
    dataset = synthetic_dataset(uri)
    data = ReIDDataset(dataset.uri, where="camera = 2 AND identity <> '0007'")
    assert len(data) > 0
    items = [data[number] for number in range(len(data))]
    assert {(item["camera"], item["identity"]) for item in items} <= {(2, "0002"), (2, "0011")}
    assert data.hard_labels.tolist() == [item["hard_label"] for item in items]
    assert data.num_classes == 3
    with pytest.raises(UserError, match="holds no row where camera = 9"):
        ReIDDataset(dataset.uri, where="camera = 9")


def test_real_images_are_numbered_by_themselves_or_as_the_synthetic_ones(uri: str) -> None:
    def rename(number: int, row: dict[str, Any]) -> None:
        row["identity"] = None if row["role"] != "person" else ("0007", "0099")[number % 2]

    real = source_dataset(f"{uri}-real", rename)
    own = ReIDDataset(real.uri, where="split = 'train'")
    assert (own.num_classes, sorted(set(own.hard_labels.tolist()))) == (2, [0, 1])
    synthetic = ReIDDataset(synthetic_dataset(uri).uri)
    for label in ("dense", "compact"):
        together = ReIDDataset(real.uri, label=label, classes=CLASSES)  # type: ignore[arg-type]
        assert together.num_classes == synthetic.num_classes
        for number, item in enumerate(together[number] for number in range(len(together))):
            dense = (
                item["label"]
                if label == "dense"
                else dense_labels(item["label_index"][None], item["label_value"][None], item["label_rest"][None], 3)[0]
            )
            known = together.hard_labels[number]
            assert dense.tolist() == [float(one == known) for one in range(3)]
    assert set(together.hard_labels.tolist()) == {1, -1}


def test_labels_over_other_classes_are_refused(uri: str) -> None:
    synthetic_dataset(uri)
    assert len(ReIDDataset(uri, classes=CLASSES)) == 12
    with pytest.raises(UserError, match="labelled over classes of its own"):
        ReIDDataset(uri, classes=ClassMap.of(["0002", "0007", "0012"]))


def test_images_that_do_not_stack_name_the_way_out(uri: str) -> None:
    def change(number: int, row: dict[str, Any]) -> None:
        if number == 5:
            data, _ = picture(number, 6, 20, "JPEG")
            row["image"]["bytes"], row["width"], row["height"] = data, 6, 20
            row["image_sha256"] = hashlib.sha256(data).hexdigest()

    synthetic_dataset(uri, change)
    with pytest.raises(UserError, match=r"several sizes \(8 x 16, 6 x 20\), which do not stack: [^\n]* transform="):
        list(DataLoader(ReIDDataset(uri), batch_size=12))
    assert len(list(DataLoader(ReIDDataset(uri), batch_size=1))) == 12
    stacked = next(iter(DataLoader(ReIDDataset(uri, transform=lambda image: image[:, :16, :6]), batch_size=12)))
    assert stacked["image"].shape == (12, 3, 16, 6)


def test_a_fault_in_a_worker_is_told(grouped: Dataset) -> None:
    data = ReIDDataset(grouped.uri)
    Path(grouped.files()[1]).unlink()
    with pytest.raises(UserError, match=Path(grouped.files()[1]).name):
        list(DataLoader(data, batch_size=4, num_workers=1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"num_classes": 2**31 - 1}, "labelled over 2147483647 classes and names 3"),
        ({"soft_label": [{"idx": -9, "val": 1.0}], "soft_label_rest": 0.0}, "class numbers from -9 to -9"),
        ({"soft_label": [{"idx": 0, "val": 0.5}], "soft_label_rest": 0.0}, "a soft label sums to 0.5, not to 1"),
        ({"soft_label": [{"idx": 0, "val": float("nan")}]}, "soft labels hold values from nan to nan"),
    ],
)
def test_labels_that_are_none_are_one_line(uri: str, values: dict[str, Any], said: str) -> None:
    synthetic_dataset(uri, lambda number, row: row.update(values))
    with pytest.raises(UserError, match=rf"^{uri} .*{said}|^a row of {uri} has a label that is none: {said}"):
        ReIDDataset(uri)[0]
