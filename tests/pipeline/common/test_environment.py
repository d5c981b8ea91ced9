"""What a run record says of the code that ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests import __version__
from pipeline.common import environment as module

ROOT = Path(module.__file__).resolve().parents[2]


def test_a_checkout_says_its_version_and_lock() -> None:
    said = module.environment()
    assert said["version"] == __version__
    assert len(said["lock_sha256"]) == 64


def test_what_is_installed_inside_of_another_checkout_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOT", ROOT / "tests")  # as ROOT/.venv/lib/.../site-packages would be
    said = module.environment()
    assert (said["git_commit"], said["git_dirty"], said["lock_sha256"]) == (None, False, None)
