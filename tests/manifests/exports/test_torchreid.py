"""A Market-1501 export in the real torchreid."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from manifests.errors import UserError
from manifests.exports.market1501 import export_market1501
from manifests.exports.torchreid import image_dataset, register
from tests.manifests.exports.export_rows import nobody, source_dataset, synthetic_dataset

_names = (f"export-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def torchreid() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a compiled evaluation that is not there
        import torchreid

    return torchreid


def market(number: int, row: dict[str, Any]) -> None:
    """Two people in train, two others in query and gallery, a distractor and junk in the gallery."""
    split = ("train", "train", "query", "gallery")[number % 4]
    identity = f"{1 + number // 4 % 2 + 2 * (split != 'train'):04d}"
    row |= {"split": split, "role": "person", "identity": identity, "camera": 1 + number % 3}
    if number in (3, 7):
        row |= {"role": "distractor" if number == 3 else "junk", "identity": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export_market1501(source_dataset(str(tmp_path / "source"), market, rows=16), str(tmp_path / "market"))
    return tmp_path / "market"


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    dataset = synthetic_dataset(str(tmp_path / "synthetic"), lambda number, row: nobody(row) if number == 0 else None)
    export_market1501(dataset, str(tmp_path / "export"))
    return tmp_path / "export"


def test_splits_are_what_torchreid_expects(torchreid: ModuleType, folder: Path) -> None:
    data = image_dataset(folder, mode="train", verbose=False)
    assert isinstance(data, torchreid.data.ImageDataset)
    assert (len(data.train), len(data.query), len(data.gallery)) == (8, 4, 3)
    assert {pid for _, pid, _, _ in data.train} == {0, 1}
    assert {pid for _, pid, _, _ in data.query} == {3, 4}
    assert sorted(pid for _, pid, _, _ in data.gallery) == [0, 3, 4]
    assert {camera for _, _, camera, _ in data.train + data.query + data.gallery} == {0, 1, 2}
    assert data[0]["img"].size == (8, 16)


def test_a_data_manager_loads_batches(torchreid: ModuleType, folder: Path, synthetic: Path) -> None:
    real, made = next(_names), next(_names)
    register(real, folder)
    register(made, synthetic)
    manager = torchreid.data.ImageDataManager(
        root="", sources=made, targets=real, height=32, width=16, batch_size_train=4, batch_size_test=2,
        workers=2, use_gpu=False, train_sampler="RandomIdentitySampler", num_instances=2,
    )  # fmt: skip
    assert manager.num_train_pids == 3
    batch = next(iter(manager.train_loader))
    assert batch["img"].shape == (4, 3, 32, 16)
    assert len(set(batch["pid"].tolist())) == 2
    loaders = manager.test_loader[real]
    assert sum(len(part["pid"]) for part in loaders["query"]) == 4
    assert sum(len(part["pid"]) for part in loaders["gallery"]) == 3


def test_torchreid_trains_and_evaluates_on_it(
    torchreid: ModuleType, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    class Model(torch.nn.Module):
        """Features for evaluation, scores for training: all that torchreid asks of a network."""

        def __init__(self, people: int) -> None:
            super().__init__()
            self.features = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
            self.scores = torch.nn.Linear(12, people)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.features(images)
            return self.scores(features) if self.training else features

    name = next(_names)
    register(name, folder)
    manager = torchreid.data.ImageDataManager(
        root="", sources=name, height=16, width=8, batch_size_train=4, batch_size_test=4, workers=0, use_gpu=False
    )
    model = Model(manager.num_train_pids)
    before = model.scores.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    engine = torchreid.engine.ImageSoftmaxEngine(manager, model, optimizer, scheduler=schedule, use_gpu=False)
    engine.run(save_dir=str(tmp_path / "log"), max_epoch=1, ranks=[1])
    assert not torch.equal(model.scores.weight, before)
    assert "mAP" in capsys.readouterr().out


def test_an_export_for_training_alone(torchreid: ModuleType, synthetic: Path) -> None:
    data = image_dataset(synthetic, mode="train", combineall=True, verbose=False)
    assert len(data.train) == 11  # the image of nobody in particular is left out
    assert data.query == data.gallery == data.train[:1]
    assert data.num_train_pids == 3


def test_all_splits_together_are_trained_on_without_distractors(torchreid: ModuleType, folder: Path) -> None:
    data = image_dataset(folder, mode="train", combineall=True, verbose=False)
    assert len(data.train) == 8 + 4 + 2
    assert data.num_train_pids == 4


def test_torchreids_own_reader_needs_cameras_of_one_digit(torchreid: ModuleType, tmp_path: Path) -> None:
    def change(number: int, row: dict[str, Any]) -> None:
        market(number, row)
        row["camera"] = (1, 10, 12)[number % 3]

    dataset = source_dataset(str(tmp_path / "source"), change, rows=16)
    seen = []
    for renumber in (False, True):
        root = tmp_path / str(renumber)
        export_market1501(dataset, str(root / "market1501" / "Market-1501-v15.09.15"), renumber_cameras=renumber)
        reader = torchreid.data.datasets.image.market1501.Market1501(root=str(root), verbose=False)
        seen.append({camera for items in (reader.train, reader.query, reader.gallery) for _, _, camera, *_ in items})
    assert seen == [{0}, {0, 1, 2}]


def test_other_folders_and_taken_names_are_refused(torchreid: ModuleType, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no Market-1501 export"):
        register(next(_names), tmp_path)
    with pytest.raises(ValueError, match="already exists"):
        register("market1501", folder)


def test_an_export_of_nobody_has_nothing_to_learn_from(tmp_path: Path) -> None:
    export_market1501(synthetic_dataset(str(tmp_path / "d"), lambda number, row: nobody(row)), str(tmp_path / "e"))
    with pytest.raises(UserError, match="no training image of a known person"):
        image_dataset(tmp_path / "e")
