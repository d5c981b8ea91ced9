"""Every command that reads a data set, run in this process on one that may be damaged; what each says and returns."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from manifests.__main__ import main
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.exports.torch import ReIDDataset
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from pipeline.reid.data import count_posed, stream_posed
from pipeline.reid.sets import load_sets
from tests.manifests.manifest_rows import sha
from tests.manifests.people_rows import people_annotations, people_source, people_synthetic, rejects, write

GONE = "aardvark"
PEOPLE = (GONE, "badger", "civet")
_SQL = "SELECT identity, COUNT(*) AS rows, MAX(camera) AS last FROM data GROUP BY identity ORDER BY identity"


class Outcome(NamedTuple):
    """How a command ended: its status, its two outputs; ``trace`` is what it raised that nobody is meant to see."""

    status: int
    out: str
    error: str
    trace: str = ""


class World(NamedTuple):
    """A data set to be damaged and what lies around it, ``sound`` being a copy that stays as it is."""

    root: Path
    sound: Path
    sample: str

    @property
    def uri(self) -> str:
        return str(self.root / "set")

    def restore(self) -> Path:
        """The data set as it was, at its own place; what commands wrote is gone."""
        for name in ("set", "out"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / "out").mkdir()
        shutil.copytree(self.sound, self.root / "set")
        return self.root / "set"


def make_world(root: Path) -> World:
    """Eight synthetic rows of two people in two shards, a reject, an erasure; their source and annotations beside."""
    shards = [people_source("market", PEOPLE, 2), people_source("market", PEOPLE[1:], 4).slice(2, 4)]
    classes = ClassMap.of(PEOPLE)
    write(str(root / "source"), "source", *shards)
    write(str(root / "annotations"), "annotation", *map(people_annotations, shards))
    rows = [people_synthetic(one, classes, rule) for one, rule in zip(shards, ("lsr", "teacher"), strict=True)]
    rejected = rejects({"source_sha256": sha("x"), "message": "too dark"}, {"relative_path": f"a/{GONE}.png"})
    made = write(str(root / "set"), "synthetic", *rows, classes=classes, rejected=rejected, run=_record(root))
    erase([made.uri], Request(frozenset({GONE})))
    shutil.copytree(root / "set", root / "sound")
    sample = open_dataset(made.uri).read(["sample_id"]).column(0)[0].as_py()
    return World(root, root / "sound", sample)


def _record(root: Path) -> dict[str, Any]:
    trained_on = {"source": {"images": 9, "dataset_ids": ["market"], "licences": ["MIT"], "subjects": [sha("s")]}}
    generator = {"role": "generator", "name": "night", "sha256": sha("generator"), "recipe": "ptgan"}
    return {
        "job": "synthesize",
        "settings": {"batch_size": 16, "splits": ["train"]},
        "settings_sha256": sha("settings"),
        "checkpoints": [generator | {"licence": "MIT", "trained_on": trained_on, "uri": "runs/night"}],
        "inputs": [{"role": "source", "id": "market", "uri": str(root / "source"), "digest": sha("source")}],
        "annotations": {"uri": str(root / "annotations"), "models": [{"segmenter": "s", "name": "sam_tiny"}]},
        "environment": {"fingerprint": "0123", "git_commit": "f" * 40, "libraries": {"torch": "2.11"}},
        "scores": {"fid": 3.5},
        "calibration": {"diagram": [{"low": 0.0, "high": 0.5, "reliability": 0.2, "right": 0.3, "share": 0.5}]},
    }


Command = Callable[[World], int]


def _cli(*arguments: str) -> Command:
    return lambda world: main([one.format(**_places(world)) for one in arguments])


def _places(world: World) -> dict[str, str]:
    out = world.root / "out"
    return {"uri": world.uri, "sound": str(world.sound), "sample": world.sample, "out": str(out), "sql": _SQL}


def _job(read: Callable[[str], Any]) -> Command:
    """What a job or a training reads, as a command that ends as theirs do."""

    def command(world: World) -> int:
        try:
            print(read(world.uri))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0

    return command


def _items(uri: str) -> list[Any]:
    data = ReIDDataset(uri, columns=("image", "label", "camera"))
    items = [data[number] for number in range(len(data))]
    return [(item["camera"], float(item["label"].sum()), tuple(item["image"].shape)) for item in items]


def _training_set(uri: str) -> Any:
    return load_sets([uri], 16, 8).images.targets.sum(axis=1)


def _posed(uri: str) -> list[Any]:
    rows = open_dataset(uri).read(["sources"]).to_pylist()
    contents = {source["sha256"] for row in rows for source in row["sources"]}
    return [count_posed(uri, contents), *(len(part.images) for part in stream_posed(uri, contents, 16, 8))]


READING: dict[str, Command] = {
    "show": _cli("show", "{uri}"),
    "show --where": _cli("show", "{uri}", "--where", "camera >= 1 AND identity = 'badger'"),
    "show --sql": _cli("show", "{uri}", "--sql", "{sql}"),
    "show --sample": _cli("show", "{uri}", "--sample", "3", "--output", "{out}/sheet.png"),
    "validate": _cli("validate", "{uri}"),
    "trace": _cli("trace", "{uri}", "{sample}"),
    "diff": _cli("diff", "{uri}", "{sound}"),
    "files": _cli("files", "{uri}"),
    "report": _cli("report", "{uri}", "--output", "{out}/report.html", "--samples", "1"),
    "export market1501": _cli("export", "{uri}", "--to", "market1501", "--output", "{out}/market"),
    "export webdataset": _cli("export", "{uri}", "--to", "webdataset", "--output", "{out}/tar"),
    "export huggingface": _cli("export", "{uri}", "--to", "huggingface", "--output", "{out}/hub"),
    "erase --dry-run": _cli("erase", "{uri}", "--identity", "badger", "--dry-run"),
    "merge": _cli("merge", "{uri}", "{sound}", "--output", "{out}/union"),
    "ReIDDataset": _job(_items),
    "reid.sets": _job(_training_set),
    "reid.data": _job(_posed),
}
CHANGING: dict[str, Command] = {
    "gc": _cli("gc", "{uri}", "--older-than", "0"),
    "describe": _cli("describe", "{uri}"),
    "erase": _cli("erase", "{uri}", "--identity", "badger"),
}


def run(command: Command, world: World) -> Outcome:
    """Run one command; an exception that leaves it is told in ``trace``."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            status = command(world)
        except BaseException as raised:
            return Outcome(-1, out.getvalue(), error.getvalue(), "".join(traceback.format_exception(raised)))
    return Outcome(status, _same_every_time(out.getvalue()), error.getvalue())


def run_all(
    world: World, damage: Callable[[Path], Any] = lambda root: None, names: Collection[str] = (*READING, *CHANGING)
) -> Iterator[tuple[str, Outcome]]:
    """The outcomes of the commands of these names; those that change the data set get one of their own."""
    damage(world.restore())
    for name in names:
        if name in CHANGING:
            damage(world.restore())
        yield name, run({**READING, **CHANGING}[name], world)


def _same_every_time(text: str) -> str:
    return re.sub(r"which entry of the log is whose\): [0-9a-f]+", "", text)
