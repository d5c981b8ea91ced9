"""A `Family` for each test."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.manifests.erasing.family import Family, make_family


@pytest.fixture(params=["local", "memory"])
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Family:
    return make_family(str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def local(tmp_path: Path) -> Family:
    return make_family(str(tmp_path))
