"""Weights files of strangers: the header of safetensors, and the metadata that says how to build the network."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pipeline.checkpoints import load_metadata
from pipeline.generators.trained import load_generator
from pipeline.generators.trained_set import open_generators
from tests.fuzz.mutations import mutated_bytes, mutated_values
from tests.fuzz.target import REFUSALS, Reader, Target, check_line
from tests.pipeline.tiny_generators import save_tiny

_RECIPES: dict[str, dict[str, Any]] = {
    "cyclegan": {},
    "cgan": {"cameras": [1, 2]},
    "camstyle_multidomain": {"cameras": [1, 2]},
}


def set_up() -> Reader:
    """Small generators of recipes with different metadata."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    originals, metadata = [], []
    for recipe, settings in _RECIPES.items():
        save_tiny(folder / recipe, recipe, **settings)
        path = folder / recipe / "generator.safetensors"
        originals.append(path.read_bytes())
        known = load_metadata(path)
        metadata.append({**known, "settings": json.loads(known["settings"])})
    file = folder / "case.safetensors"
    cases = st.one_of(
        st.builds(_with_header, st.sampled_from(originals), mutated_values(*metadata)),
        st.builds(_with_header, st.sampled_from(originals), mutated_values(*metadata)),
        mutated_bytes(*originals),
    )
    return Reader(cases, lambda data: read(file, data))


def read(file: Path, data: bytes) -> None:
    """Look at the generator and load it."""
    file.write_bytes(data)
    for step in (open_generators, load_generator):
        try:
            step(str(file))
        except REFUSALS as error:
            check_line(error)


def _with_header(original: bytes, metadata: Any) -> bytes:
    """A weights file whose metadata are ``metadata``: text where a writer puts text, else what they are."""
    if isinstance(metadata, dict) and isinstance(metadata.get("settings"), dict):
        metadata = {**metadata, "settings": json.dumps(metadata["settings"])}
    size = int.from_bytes(original[:8], "little")
    header = json.loads(original[8 : 8 + size])
    header["__metadata__"] = {"metadata": json.dumps(metadata)}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + original[8 + size :]


TARGETS = {"generator metadata": Target(1.5, set_up)}
