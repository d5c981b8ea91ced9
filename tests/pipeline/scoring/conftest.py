from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.pipeline.scoring.paper_people import Laboratory


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Of images so small, several threads make a slow thing of it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("paper"))
