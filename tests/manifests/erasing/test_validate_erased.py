"""`validate` finds what does not add up in a data set that was erased from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.checking.validate import validate
from manifests.format.soft_labels import ClassMap
from tests.manifests.erasing.family import Family, edit_json


def retire(uri: str, identity: str) -> None:
    """Take a name out of the snapshot's class map alone."""
    key = ClassMap.FOOTER_KEY
    edit_json(
        uri,
        "_snapshots/2.json",
        lambda value: value["footer"].update(
            {key: ClassMap.from_json(value["footer"][key]).without({identity}).to_json()}
        ),
    )


FAULTS: dict[str, tuple[str, str, Callable[[str], None]]] = {
    "no log": ("erasure", "erasures.table", lambda uri: Path(uri, "erasures.table").unlink()),
    "a log that is none": (
        "log",
        "erasures.table",
        lambda uri: Path(uri, "erasures.table").write_bytes(b"PAR1"),
    ),
    "another count": (
        "conservation",
        "_snapshots",
        lambda uri: edit_json(
            uri, "_snapshots/2.json", lambda value: (value["erasures"][0].update(rows=8), value.update(erased=9))
        ),
    ),
    "rows that went without a record": (
        "conservation",
        "_commits/000000.json",
        lambda uri: edit_json(uri, "_commits/000000.json", lambda value: value.update(erased=0)),
    ),
    "an old snapshot": (
        "erasure",
        "_snapshots/1.json",
        lambda uri: Path(uri, "_snapshots/1.json").write_bytes(Path(uri, "_snapshots/2.json").read_bytes()),
    ),
    "an erasure under way": (
        "erasure",
        "run.json",
        lambda uri: edit_json(uri, "run.json", lambda value: value.update(status="erasing")),
    ),
    "a shard that names who is retired": ("schema", "data", lambda uri: retire(uri, "zebra")),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_does_not_add_up_after_an_erasure_is_found(erased: Family, case: str) -> None:
    check, file, plant = FAULTS[case]
    plant(erased.synthetic.uri)
    faults = validate(erased.synthetic.uri).faults
    assert any(fault.check == check and fault.file.startswith(file) for fault in faults), faults
