"""Kinds of damage to a data set's files, by name: what disks, copies, editors and strangers do to them.

In what a stranger wrote (`OF_STRANGERS`) the log agrees with the files: only the values have no sense.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.disk import parquet
from manifests.disk.snapshots import snapshot_path
from manifests.storage.whole_files import open_storage
from manifests.writing.run import Snapshot
from tests.manifests.manifest_rows import source_rows
from tests.manifests.shard_damage import filled_column, flipped, not_text, page_of, rewritten, seal

Damage = Callable[[Path], Any]
"""What happens to the data set in a folder: synthetic rows in two shards, rejects, an erasure, an older commit."""
Json = dict[str, Any]

RUN, ERASURES, META, CARD = "run.json", "erasures.table", "samples_meta.table", "README.md"
CROISSANT, STATEMENT = "croissant.json", "provenance.intoto.json"
DEEP = b"[" * 100_000 + b"]" * 100_000


def shard(root: Path, number: int = 0) -> Path:
    """One of the files that hold rows, by their order."""
    return sorted((root / "data").iterdir())[number]


def snapshot(root: Path) -> Path:
    """The newest."""
    return root / snapshot_path(Snapshot.numbers(open_storage(str(root)))[-1])


def commit(root: Path) -> Path:
    """The record of the first shard."""
    return root / "_commits/000000.json"


def rejected(root: Path) -> Path:
    """The file of rejected rows."""
    return next((root / "rejects").iterdir())


def _named(name: str) -> Callable[[Path], Path]:
    return lambda root: root / name


_FILES: dict[str, Callable[[Path], Path]] = {
    **{"shard": shard, "rejects": rejected, "snapshot": snapshot, "commit record": commit},
    **{name: _named(name) for name in (RUN, ERASURES, META, CARD, CROISSANT, STATEMENT)},
}
_JSON = ("snapshot", "commit record", RUN, CROISSANT, STATEMENT)


def _cut(size: int) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _holding(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(data)


def _in(name: str, change: Callable[[Path], Any]) -> Damage:
    def damage(root: Path) -> None:
        change(_FILES[name](root))

    return damage


_TO_ANY: dict[str, Callable[[Path], Any]] = {
    "missing": Path.unlink,
    "empty": _cut(0),
    "cut to 10 bytes": _cut(10),
    "a folder": _as_folder,
    "a link to itself": _loop,
    "not UTF-8": _holding(b"\xff\xfe\x80\x81"),
}
_TO_JSON: dict[str, Callable[[Path], Any]] = {
    "cut in its middle": lambda path: _cut(path.stat().st_size // 2)(path),
    "nested 100,000 deep": _holding(DEEP),
    "a list": _holding(b"[1, 2]"),
    "null": _holding(b"null"),
    "a number of 5,000 digits": _holding(b'{"rows": ' + b"9" * 5000 + b"}"),
    "half a character": _holding(b'{"kind": "\\ud800"}'),
}


def _edited(name: str, edit: Callable[[Json], Any]) -> Damage:
    def change(path: Path) -> None:
        value = json.loads(path.read_bytes())
        edit(value)
        path.write_text(json.dumps(value))

    return _in(name, change)


def _replaced(name: str, old: str, new: str) -> Damage:
    """The text of a JSON file with one value changed, where Python would write another."""

    def change(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return _in(name, change)


_NO_NUMBERS = {
    "a text": '"4"',
    "true": "true",
    "null": "null",
    "1e400": "1e400",
    "-1": "-1",
    "NaN": "NaN",
    "4.9": "4.9",
}


def _sealed_with(change: Callable[[Path], None]) -> Damage:
    def damage(root: Path) -> None:
        path = shard(root)
        change(path)
        seal(root, path, (snapshot(root), commit(root), root / CROISSANT, root / STATEMENT))

    return damage


_ENTRY = {"idx": 0, "val": 1.0}
_STRANGE_VALUES: dict[str, tuple[str, Any]] = {
    "num_classes of 2**31 - 1": ("num_classes", 2**31 - 1),
    "num_classes of -5": ("num_classes", -5),
    "a class of no number": ("hard_label", 99),
    "a label of class -9": ("soft_label", [{**_ENTRY, "idx": -9}]),
    "a label of NaN": ("soft_label", [{**_ENTRY, "val": float("nan")}]),
    "a label of nothing": ("soft_label", [None]),
    "no label": ("soft_label", None),
    "no sources": ("sources", None),
    "a source of nothing": ("sources", [None]),
    "nobody's keys": ("subject_keys", [None]),
    "a path out of the folder": ("image", {"bytes": b"no picture", "path": "../../x.png"}),
    "no picture": ("image", {"bytes": None, "path": None}),
    "an id that is a path": ("sample_id", "../../x"),
    "a split of no name": ("split", "../y"),
    "a camera of -7": ("camera", -7),
    "a size of 0": ("width", 0),
    "keypoints of nothing": ("keypoints", [None] * 17),
    "a recipe of several lines": ("recipe", "a\n---\n| <b>`x`"),
}


def _shards() -> Iterator[tuple[str, Damage]]:
    yield "shard cut to 1000 bytes", _in("shard", _cut(1000))
    yield "shard longer by a byte", _in("shard", lambda path: path.write_bytes(path.read_bytes() + b"\0"))
    for column in ("identity", "subject_keys.list.element", "image.bytes", "soft_label.list.element.val", "camera"):
        yield f"a byte flipped in a page of {column}", _in("shard", flipped(page_of(column)))
    yield "a byte flipped in the footer", _in("shard", flipped(lambda data: len(data) - 200))
    yield "a byte flipped in the footer's length", _in("shard", flipped(lambda data: len(data) - 6))
    yield "a byte flipped in the magic", _in("shard", flipped(lambda data: len(data) - 1))
    yield "another shard's bytes", lambda root: shard(root).write_bytes(shard(root, 1).read_bytes())
    source = parquet.encode(source_rows(4)).to_pybytes()
    yield "a shard of another kind", _in("shard", _holding(source))
    yield "a stranger's shard of another kind", _sealed_with(_holding(source))
    yield "a stranger's shard without a column", _sealed_with(rewritten(lambda table: table.drop_columns(["identity"])))
    yield (
        "a stranger's shard without metadata",
        _sealed_with(rewritten(lambda t: t.replace_schema_metadata(None), False)),
    )
    yield "a stranger's shard of text cameras", _sealed_with(filled_column("camera", "3", pa.string()))
    yield "a stranger's shard of bytes that are no text", _sealed_with(rewritten(not_text))
    for name, (column, value) in _STRANGE_VALUES.items():
        yield f"a stranger's rows with {name}", _sealed_with(filled_column(column, value))
    yield "fewer rows than the log says", _in("shard", rewritten(lambda table: table.slice(1)))


def _records() -> Iterator[tuple[str, Damage]]:
    for name, value in _NO_NUMBERS.items():
        yield f"rows of a commit record {name}", _replaced("commit record", '"rows": 4', f'"rows": {value}')
        yield f"rows of a snapshot {name}", _replaced("snapshot", '"rows": 4', f'"rows": {value}')
    yield "a key twice in a snapshot", _replaced("snapshot", '"kind":', '"kind": "synthetic", "kind":')
    yield "an unknown key in a commit record", _edited("commit record", lambda value: value.update(erasee=1))
    yield "an unknown key in a snapshot", _edited("snapshot", lambda value: value["files"][0].update(rowz=1))
    yield "a snapshot that leads elsewhere", _edited("snapshot", lambda value: value["files"][0].update(path="../x"))
    yield "a snapshot without its files", _edited("snapshot", lambda value: value.pop("files"))
    yield "a snapshot of a number that is not its own", _edited("snapshot", lambda value: value.update(number=77))
    yield "a class map that is none", _edited("snapshot", lambda value: value["footer"].update(_classes("[]")))
    yield "a class map of one name twice", _edited("snapshot", lambda value: value["footer"].update(_classes(_TWICE)))
    yield "keys of an erasure in numbers", _edited("snapshot", lambda value: value["erasures"][0].update(keys=[1]))
    yield "a kind that is a list", _edited("snapshot", lambda value: value.update(kind=["synthetic"]))
    yield "a newer version's snapshot", _edited("snapshot", lambda value: value.update(schema_version="9.0"))
    yield "a version that is a number", _edited("snapshot", lambda value: value.update(schema_version=1.3))


_TWICE = '{"identities": ["badger", "badger"]}'


def _classes(text: str) -> Json:
    return {"reid_synth.classes": text}


def _runs() -> Iterator[tuple[str, Damage]]:
    yield "run.json of another kind", _edited(RUN, lambda value: value.update(kind="source"))
    yield "run.json of no status", _edited(RUN, lambda value: value.pop("status"))
    yield "run.json of no plan", _edited(RUN, lambda value: value.pop("plan"))
    yield "run.json of a run that is a list", _edited(RUN, lambda value: value.update(run=[1, {"a": 2}]))
    yield "run.json of earlier runs that are a text", _edited(RUN, lambda value: value.update(earlier_runs="none"))
    yield "run.json of shards that are a text", _edited(RUN, lambda value: value["plan"].update(shard_rows={"x": "y"}))
    yield "run.json of another run", _edited(RUN, lambda value: value["run"].update(job="another"))
    for name, value in {"numbers": [1, 2.5], "texts": ["a"], "a text": "a", "null": None, "objects": [{}]}.items():
        yield f"a stranger's run of {name}", _recorded(lambda run, value=value: _filled(run, value))
    yield (
        "a stranger's run in places of no name",
        _recorded(lambda run: [one.update(uri="\0") for one in run["inputs"]]),
    )
    yield "a stranger's run that is a list", _recorded(lambda run: run.clear(), whole=[1, {"a": 2}])


def _recorded(edit: Callable[[Json], Any], whole: Any = None) -> Damage:
    """What is said of the run changed, in the snapshot and in ``run.json`` alike; or ``whole`` in its place."""

    def change(state: Json) -> None:
        edit(state["run"])
        state["run"] = state["run"] if whole is None else whole

    def damage(root: Path) -> None:
        _edited("snapshot", lambda value: change(value["runs"][-1]))(root)
        _edited(RUN, change)(root)

    return damage


def _filled(run: Json, value: Any) -> None:
    """Every part of a run's record, and of what it lists, made another value."""
    for one in (*run.get("inputs", ()), *run.get("checkpoints", ())):
        for key in one:
            one[key] = value if key != "sha256" else one[key]
    for key in run.keys() - {"inputs", "checkpoints", "job"}:
        run[key] = value


def _erasures() -> Iterator[tuple[str, Damage]]:
    yield "erasures of other columns", _in(ERASURES, rewritten(lambda table: table.drop_columns(["rows"]), False))
    yield "erasures of one more row", _in(ERASURES, rewritten(lambda table: pa.concat_tables([table, table]), False))
    yield "a table of rows without pictures that has fewer", _in(META, rewritten(lambda table: table.slice(1)))
    yield "a byte flipped in the table without pictures", _in(META, flipped(page_of("identity")))
    yield "a byte flipped in the rejects", _in("rejects", flipped(page_of("reason")))
    yield (
        "a file beside the shards",
        lambda root: shutil.copy(shard(root), root / "data/000077-0123456789abcdef.parquet"),
    )


_FIRST = ("shard", "snapshot", "commit record", RUN)
_ON_FILES = {f"{name} {how}": _in(name, change) for name in _FILES for how, change in _TO_ANY.items()}
_ON_JSON = {f"{name} {how}": _in(name, change) for name in _JSON for how, change in _TO_JSON.items()}
DAMAGES: Mapping[str, Damage] = {
    **_ON_FILES,
    **_ON_JSON,
    **dict(_shards()),
    **dict(_records()),
    **dict(_runs()),
    **dict(_erasures()),
}
CORE = frozenset(
    {
        *(name for name in _ON_FILES if name.startswith(_FIRST)),
        *(name for name in _ON_JSON if name.startswith("snapshot")),
        *(name for name, _ in _shards() if "stranger" not in name),
        *(name for name, _ in _records() if "commit record" in name),
        *("rejects missing", "erasures.table missing", "samples_meta.table missing"),
    }
)
"""Those that every command has to meet."""
OF_STRANGERS = frozenset(name for name in DAMAGES if name.startswith(("a stranger's", "run.json", "README")))
"""After these a command may well end, and say something else than before."""
