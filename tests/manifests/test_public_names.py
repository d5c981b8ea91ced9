"""What `manifests` offers is there, each name from its own file, and nothing is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import manifests


@pytest.mark.parametrize("name", manifests.__all__)
def test_a_name_is_what_its_own_file_has(name: str) -> None:
    found, home = getattr(manifests, name), f"manifests.{manifests._HOME[name]}"
    assert found is getattr(import_module(home), name)
    assert getattr(found, "__module__", home) == home  # a constant does not say where it is from
    assert name in dir(manifests)


def test_an_unknown_name_is_no_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nobody'"):
        _ = manifests.nobody


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = "import sys, manifests; print(sorted({'polars', 'pyarrow', 'pydantic', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
