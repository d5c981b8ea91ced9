"""`merge`, `erase` and `export` killed at random moments and given again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from manifests.__main__ import main
from manifests.format.names import subject_key
from manifests.format.schema import ROW_ID
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from tests.chaos.bench import Bench
from tests.chaos.commands import Ended, Forked, strike, timed
from tests.chaos.datasets import Found, compare_folders, digests, look
from tests.chaos.tally import Tally
from tests.manifests.people_rows import assert_no_trace, people_annotations, people_source, people_synthetic, write

PEOPLE = ["aardvark", "badger", "civet", "zebra"]
GONE = "badger"
FORMS = ("market1501", "webdataset", "huggingface")


class Sets(NamedTuple):
    """Data sets that belong together, each of several shards."""

    inputs: list[str]
    """Two synthetic data sets to merge; the first of them is exported."""
    union: list[str]
    """Row ids of both."""
    related: list[str]
    """Source, annotations and synthetic data set of the same people, to erase one of them."""
    left: dict[str, list[str]]
    """Row ids that an erasure leaves, by the folder's name."""

    @classmethod
    def make(cls, folder: Path) -> Sets:
        classes = ClassMap.of(PEOPLE)
        shards = [people_source("market", [one], 4) for one in PEOPLE]
        root = folder / "sets"
        made = [people_synthetic(shard, classes) for shard in shards]
        second = [people_synthetic(shard, classes, plan="second") for shard in shards]
        related = [
            write(str(root / "source"), "source", *shards).uri,
            write(str(root / "annotations"), "annotation", *map(people_annotations, shards)).uri,
            write(str(root / "synthetic"), "synthetic", *made, classes=classes).uri,
        ]
        inputs = [related[2], write(str(root / "second"), "synthetic", *second, classes=classes, plan="second").uri]
        left = {Path(uri).name: _ids(uri, gone=PEOPLE.index(GONE)) for uri in related}
        return cls(inputs, [*_ids(inputs[0]), *_ids(inputs[1])], related, left)

    def copied(self, folder: Path) -> list[str]:
        """Copies of the related data sets, to erase somebody from."""
        return [str(shutil.copytree(uri, folder / Path(uri).name)) for uri in self.related]

    def look(self, uris: list[str]) -> Found:
        """What copies hold after the erasure, beside what it should leave; traces of the person are faults."""
        found = [look(uri, self.left[Path(uri).name]) for uri in uris]
        faults = [fault for one in found for fault in one.faults] + [trace for uri in uris for trace in _traces(uri)]
        return Found(sum(one.lost for one in found), sum(one.doubled for one in found), tuple(faults))


def run(bench: Bench) -> Iterator[Tally]:
    """The rows of the table, each when it is complete."""
    sets = Sets.make(bench.folder)
    yield merges(bench, sets)
    yield erasures(bench, sets)
    yield exports(bench, sets)


def merges(bench: Bench, sets: Sets) -> Tally:
    """`merge` killed: the same command ends with the bytes of an unbroken one."""
    tally = bench.tally("merge killed", 20)
    command = ["merge", *sets.inputs, "--output"]
    seconds = timed(bench.folder, main, [*command, str(bench.folder / "union")])
    digest = open_dataset(str(bench.folder / "union")).digest()
    for place in bench.trials(tally):
        uri = str(place / "union")
        process = Forked(place, main, [*command, uri])
        killed = strike(process, bench.moment(seconds))
        process.wait()
        if killed:
            again = Forked(place, main, [*command, uri]).wait()
            tally.add(look(uri, sets.union, digest), again=again)
    return tally


def erasures(bench: Bench, sets: Sets) -> Tally:
    """`erase` of a person from three data sets killed: the same command takes out the rest and nobody else."""
    tally = bench.tally("erase killed", 20)
    seconds = timed(bench.folder, main, ["erase", *sets.copied(bench.folder / "whole"), "--identity", GONE])
    for place in bench.trials(tally):
        uris = sets.copied(place)
        command = ["erase", *uris, "--identity", GONE]
        process = Forked(place, main, command)
        killed = strike(process, bench.moment(seconds))
        process.wait()
        if killed:
            again = Forked(place, main, command).wait()
            tally.add(sets.look(uris), again=as_erased(again))
    return tally


def exports(bench: Bench, sets: Sets) -> Tally:
    """`export` killed, in all forms by turns: the same command leaves what an unbroken one does."""
    tally = bench.tally("export killed", 20)
    wholes, seconds = {}, {}
    for form in FORMS:
        command = ["export", sets.inputs[0], "--to", form, "--output", str(bench.folder / form)]
        seconds[form] = timed(bench.folder, main, command)
        wholes[form] = digests(bench.folder / form)
    for place in bench.trials(tally):
        form = FORMS[tally.times % len(FORMS)]
        output = place / "made" / "export"
        command = ["export", sets.inputs[0], "--to", form, "--output", str(output)]
        process = Forked(place, main, command)
        killed = strike(process, bench.moment(seconds[form]))
        process.wait()
        if killed:
            whole = output.is_dir()
            again = Forked(place, main, command).wait()
            if whole and again.status == 2 and "is there already" in again.err:
                again = again._replace(status=0)  # it was killed when all was done
            beside = [f"{path.name} was left beside the export" for path in output.parent.glob("*") if path != output]
            tally.add(compare_folders(output, wholes[form]), again=again, problems=beside)
    return tally


def as_erased(ended: Ended) -> Ended:
    """Status 1 says that nothing was left to erase, which is right of who comes when all is done."""
    done = ended.status == 1 and not ended.err and "on no row of these data sets" in ended.out
    return ended._replace(status=0) if done else ended


def _ids(uri: str, gone: int | None = None) -> list[str]:
    """Row ids of a data set, without those of the shard ``gone``."""
    dataset = open_dataset(uri)
    tables = [table for shard, table in enumerate(dataset.shards([ROW_ID[dataset.kind]])) if shard != gone]
    return [name for table in tables for name in table.column(0).to_pylist()]


def _traces(uri: str) -> list[str]:
    """Where the person who was erased can still be found."""
    try:
        assert_no_trace(uri, [GONE.encode(), subject_key("market", GONE).encode()])
    except AssertionError as error:
        return [f"{uri}: {error}"]
    return []
