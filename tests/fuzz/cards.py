"""What models say of themselves in JSON: cards of trainings, of shipped checkpoints, and ``camstyle.json``."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from pipeline.checkpoints.cards import describe_model
from pipeline.checkpoints.table import WEIGHTS_FOLDER, shipped
from pipeline.generators.trained_set import PAIRS_FILE, open_generators
from tests.fuzz.mutations import mutated_json
from tests.fuzz.target import REFUSALS, Reader, Target, check_line
from tests.pipeline.tiny_generators import save_tiny, save_tiny_pairs

_SHIPPED = "sam_tiny.json"


class Case(NamedTuple):
    """A card's name and its text."""

    name: str
    content: bytes


def set_up() -> Reader:
    """A folder with a generator and its card, one with pairs of cameras, one with shipped weights."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    sha256 = save_tiny(folder / "one", "cyclegan")
    save_tiny_pairs(folder / "pairs", (1, 2))
    (folder / "shipped").mkdir()
    shutil.copy(WEIGHTS_FOLDER / _SHIPPED.replace(".json", ".safetensors"), folder / "shipped")
    card = {
        "recipe": "cyclegan",
        "sha256": {"generator": sha256},
        "licence": "Apache-2.0",
        "data": {"source": {"images": 3, "subjects": ["a" * 32], "manifest_sha256": "0" * 64}},
    }
    originals: dict[str, Any] = {
        "one/generator.json": card,
        f"pairs/{PAIRS_FILE}": json.loads((folder / "pairs" / PAIRS_FILE).read_text()),
        f"shipped/{_SHIPPED}": json.loads((WEIGHTS_FOLDER / _SHIPPED).read_text()),
    }
    cases = [st.builds(Case, st.just(name), mutated_json(value)) for name, value in originals.items()]
    return Reader(st.one_of(cases), lambda case: read(folder, sha256, case))


def read(folder: Path, sha256: str, case: Case) -> None:
    """Ask for the model that the card is about."""
    (folder / case.name).write_bytes(case.content)
    try:
        if case.name.startswith("one/"):
            describe_model(str(folder / "one"), sha256)
        elif case.name.startswith("pairs/"):
            known = open_generators(str(folder / "pairs"))
            assert all(Path(one.path).resolve().is_relative_to(folder) for one in known.members.values())
        else:
            shipped(folder / "shipped")
    except REFUSALS as error:
        check_line(error)


TARGETS = {"model cards": Target(1, set_up)}
