"""What `manifests` offers shows how it is used, and the examples run as they stand.

They find three small data sets in the current folder: ``runs/market``, source images of two people, and
``runs/synthetic`` and ``runs/more``, images made of them by two plans.
"""

from __future__ import annotations

import doctest
import shutil
from operator import attrgetter
from pathlib import Path

import pytest

import manifests
from manifests import ClassMap
from tests.manifests.people_rows import people_source, people_synthetic, write
from tests.manifests.signing.authority import write_chain

_NO_TOOLS = ("SCHEMAS", "Dataset", "Request", "Selection", "Signer", "UserError")
"""What others return, take and raise, or a table: their examples show these."""
SHOWN = [
    *(name for name in manifests.__all__ if name not in _NO_TOOLS),
    "Dataset.read",
    "Dataset.scan",
    "Dataset.where",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    people = people_source("market", ["0002", "0007"], 3)
    classes = ClassMap.of(["0002", "0007"])
    write(f"{folder}/runs/market", "source", people)
    made_of_market = {"job": "synthesize", "inputs": [{"role": "source", "id": "market", "uri": "runs/market"}]}
    for name, plan in (("synthetic", "first"), ("more", "second")):
        rows = people_synthetic(people, classes, plan=plan)
        write(f"{folder}/runs/{name}", "synthetic", rows, classes=classes, plan=plan, run=made_of_market)
    write_chain(folder)
    return folder


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_runs(name: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    shown = attrgetter(name)(manifests)
    (found,) = doctest.DocTestFinder(recurse=False).find(shown, name, globs={})
    assert 2 <= sum(example.source.count("\n") for example in found.examples) <= 8, "no example, or a long one"
    said: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found, out=said.append)
    assert not failed, "".join(said)
