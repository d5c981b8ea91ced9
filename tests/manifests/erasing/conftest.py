"""A `Family` for each test: a copy of one that was written once."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from manifests.storage.whole_files import open_storage
from tests.manifests.erasing.family import Family, erase_gone, make_family


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return make_family(str(tmp_path_factory.mktemp("family")))


@pytest.fixture(scope="session")
def erased_once(tmp_path_factory: pytest.TempPathFactory) -> Family:
    family = make_family(str(tmp_path_factory.mktemp("erased")))
    erase_gone(family)
    return family.again()


@pytest.fixture
def erased(erased_once: Family, tmp_path: Path) -> Family:
    """On disk, and `GONE` is gone."""
    return _copied(erased_once, tmp_path)


@pytest.fixture
def local(written: Family, tmp_path: Path) -> Family:
    """On disk."""
    return _copied(written, tmp_path)


@pytest.fixture(params=["local", "memory"])
def family(request: pytest.FixtureRequest, written: Family, tmp_path: Path) -> Family:
    """On disk and in an object store."""
    if request.param == "local":
        return _copied(written, tmp_path)
    root = f"memory://{uuid.uuid4().hex}"
    for dataset in (written.source, written.annotations, written.synthetic):
        storage = open_storage(f"{root}/{Path(dataset.uri).name}")
        for entry in dataset.storage.list():
            storage.write(entry.path, dataset.storage.read(entry.path) or b"")
    return written.at(root)


def _copied(family: Family, folder: Path) -> Family:
    shutil.copytree(Path(family.source.uri).parent, folder, dirs_exist_ok=True)
    return family.at(str(folder))
