"""What stands in the small files of a data set is what its form says, or one line names the file and the place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest

from manifests.disk.claims import Claim, claim_path
from manifests.disk.run_record import RunPlan, begun, load_run, resumed
from manifests.disk.snapshots import (
    RUN,
    BrokenDatasetError,
    CommitRecord,
    Erasure,
    FileEntry,
    Snapshot,
    commit_path,
    dump,
    snapshot_path,
)
from manifests.errors import UserError
from manifests.format.schema import SCHEMA_VERSION
from manifests.storage.whole_files import Storage, open_storage

PLAN = RunPlan("a plan", "source", 3, {0: 4, 11: 2}, {"key": "value"})
DATA = FileEntry("data/000003-0123456789abcdef.parquet", 90, "0" * 64, 4, 3)
REJECTS = FileEntry("rejects/000003-0123456789abcdef.table", 80, "1" * 64, 1, 3)
COMMIT = CommitRecord("a plan", 3, 5, DATA, REJECTS, {"corrupt": 1}, {"seconds": 0.5}, 0, ("another",))
RECORD = {**resumed(begun(PLAN, {"seed": 7}), begun(PLAN, {"seed": 8})), "status": "complete"}
SNAPSHOT = Snapshot(
    *(2, "source", SCHEMA_VERSION, "2026-01-02T03:04:05+00:00", ("a plan",), (DATA,), (REJECTS,), 7, {"corrupt": 1}),
    footer={"key": "value"},
    erasures=(Erasure("2026-01-02T03:04:05+00:00", 2, ("a key",), 2, 0),),
    runs=(RECORD,),  # type: ignore[arg-type]  # of more keys than a status
)
RUN_RECORD = {**RECORD, "counts": SNAPSHOT.counts, "earlier_runs": [RECORD]}
CLAIM = {"schema_version": SCHEMA_VERSION, "plan_id": "a plan", "first_shard": 3, "shard_rows": {"0": 4, "11": 2}}


@dataclass(frozen=True)
class Form:
    """A kind of file: where it lies, how it is read, what stands in it, and at which places stands what."""

    path: str
    load: Callable[[Storage], Any]
    content: bytes
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    optional: tuple[str, ...] = ()
    """Of those, what may be missing: older versions did not know it."""
    null: tuple[str, ...] = ()
    """Of those, what may be null."""
    open: bool = False
    """Whether it may say more."""


FORMS = {
    "commit record": Form(
        path=commit_path(3),
        load=lambda storage: CommitRecord.load(storage, commit_path(3)),
        content=COMMIT.to_json(),
        numbers=("shard", "planned", "data.bytes", "data.rows", "rejects.shard", "reasons.corrupt", "erased"),
        texts=("plan_id", "data.path", "data.sha256", "rejects.path", "row_plans.0"),
        optional=("reasons.corrupt", "erased", "row_plans.0"),
    ),
    "snapshot": Form(
        path=snapshot_path(2),
        load=lambda storage: Snapshot.load(storage, 2),
        content=SNAPSHOT.to_json(),
        numbers=(
            *("number", "planned", "files.0.bytes", "files.0.shard", "rejects.0.rows", "reasons.corrupt"),
            *("erasures.0.snapshot", "erasures.0.rows", "rows", "rejected", "erased"),
        ),
        texts=("kind", "schema_version", "created", "plan_ids.0", "footer.key", "erasures.0.time", "erasures.0.keys.0"),
        optional=("reasons.corrupt", "plan_ids.0", "footer.key", "erasures.0.keys.0", "rows", "rejected", "erased"),
    ),
    "run of a snapshot": Form(
        path=snapshot_path(2),
        load=lambda storage: Snapshot.load(storage, 2),
        content=SNAPSHOT.to_json(),
        numbers=("runs.0.plan.first_shard", "runs.0.plan.shard_rows.0"),
        texts=("runs.0.plan.plan_id", "runs.0.kind", "runs.0.started", "runs.0.resumed.0.time"),
        optional=("runs.0.plan.first_shard", "runs.0.plan.shard_rows.0", "runs.0.kind", "runs.0.started"),
    ),
    "claim": Form(
        path=claim_path(2),
        load=lambda storage: Claim.load(storage, 2),
        content=dump(CLAIM),
        numbers=("first_shard", "shard_rows.0", "shard_rows.11"),
        texts=("schema_version", "plan_id"),
        optional=("shard_rows.0", "shard_rows.11"),
        null=("plan_id",),
    ),
    "run record": Form(
        path=RUN,
        load=load_run,
        content=dump(RUN_RECORD),
        numbers=(
            *("plan.first_shard", "plan.shard_rows.11", "counts.planned", "counts.erased", "counts.reasons.corrupt"),
            *("earlier_runs.0.plan.first_shard", "earlier_runs.0.plan.shard_rows.0"),
        ),
        texts=("schema_version", "kind", "status", "started", "plan.plan_id", "footer.key", "resumed.0.time"),
        optional=(
            *("plan.first_shard", "plan.shard_rows.11", "counts.erased", "counts.reasons.corrupt", "footer.key"),
            *("earlier_runs.0.plan.first_shard", "earlier_runs.0.plan.shard_rows.0"),
            *("schema_version", "kind", "status", "started"),
        ),
        open=True,
    ),
}
STRANGE = {"a text": "7", "a fraction": 7.9, "a whole fraction": 7.0, "true": True, "null": None, "an object": {"a": 1}}


def cases() -> Iterator[Any]:
    """Form, place, and the value that comes there."""
    for name, form in FORMS.items():
        for place in form.numbers:
            for what, value in {**STRANGE, "below zero": -1}.items():
                yield pytest.param(name, place, value, id=f"{name}: {place} is {what}")
        for place in form.texts:
            for what, value in STRANGE.items():
                if what != "a text" and not (what == "null" and place in form.null):
                    yield pytest.param(name, place, value, id=f"{name}: {place} is {what}")


def stored(form: Form, change: Callable[[dict[str, Any]], Any]) -> Storage:
    """A store that holds the file, changed."""
    value = json.loads(form.content)
    change(value)
    storage = open_storage("memory://test-records")
    storage.write(form.path, dump(value))
    return storage


def parent(value: Any, place: str) -> tuple[Any, Any]:
    """What holds the entry at ``place``, and the entry's key in it."""
    *way, last = place.split(".")
    held = reduce(lambda one, key: one[int(key) if isinstance(one, list) else key], way, value)
    return held, int(last) if isinstance(held, list) else last


def check_refused(form: Form, storage: Storage, place: str) -> None:
    with pytest.raises(BrokenDatasetError) as raised:
        form.load(storage)
    said = str(raised.value)
    assert raised.value.file == form.path
    assert said.startswith(f"{storage.locate(form.path)} is no ")
    assert "\n" not in said
    inner = place.split(".", 2)[2] if place.startswith("runs.") else place
    assert f" {inner} is " in said


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_read_as_it_is_written(name: str) -> None:
    form = FORMS[name]
    read = form.load(stored(form, lambda value: None))
    assert read is not None
    if isinstance(read, Claim):
        assert read.take(open_storage("memory://test-records-again")) is read
        assert open_storage("memory://test-records-again").read(form.path) == form.content
    else:
        assert (dump(read) if isinstance(read, dict) else read.to_json()) == form.content


@pytest.mark.parametrize(("name", "place", "value"), list(cases()))
def test_nothing_else_stands_for_a_number_or_a_text(name: str, place: str, value: Any) -> None:
    def change(whole: dict[str, Any]) -> None:
        held, key = parent(whole, place)
        held[key] = value

    check_refused(FORMS[name], stored(FORMS[name], change), place)


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, form in FORMS.items() for place in (*form.numbers, *form.texts)]
)
def test_what_is_missing_is_named_unless_older_versions_lack_it(name: str, place: str) -> None:
    def change(whole: dict[str, Any]) -> None:
        held, key = parent(whole, place)
        del held[key]

    form = FORMS[name]
    storage = stored(form, change)
    if place in form.optional:
        assert form.load(storage) is not None
    elif place == "schema_version":
        with pytest.raises(UserError, match="gives no schema version"):
            form.load(storage)
    else:
        check_refused(form, storage, place)


@pytest.mark.parametrize("name", FORMS)
def test_what_no_version_knows_is_refused_but_in_what_a_job_says(name: str) -> None:
    form = FORMS[name]
    storage = stored(form, lambda value: value.update(more=1))
    if form.open:
        assert form.load(storage)["more"] == 1
    else:
        check_refused(form, storage, "more")


@pytest.mark.parametrize("name", ["snapshot", "claim", "commit record"])
def test_a_later_version_may_say_more(name: str) -> None:
    form = FORMS[name]
    plain = form.load(stored(form, lambda value: value.update(schema_version="1.99")))
    assert form.load(stored(form, lambda value: value.update(schema_version="1.99", more=1))) == plain


@pytest.mark.parametrize("key", ["01", "-1", "1.0", "one", "9" * 19, ""])
@pytest.mark.parametrize("name", ["claim", "run record"])
def test_shards_are_keyed_by_their_numbers(name: str, key: str) -> None:
    place = {"claim": "shard_rows", "run record": "plan.shard_rows"}[name]

    def change(whole: dict[str, Any]) -> None:
        held, last = parent(whole, place)
        held[last] = {key: 4}

    check_refused(FORMS[name], stored(FORMS[name], change), f"{place}.{key}.[key]")


@pytest.mark.parametrize("part", ["kind", "footer", "plan", "plan.first_shard", "plan.shard_rows"])
def test_a_run_is_gone_on_with_only_if_its_record_says_all_of_its_plan(part: str) -> None:
    def change(whole: dict[str, Any]) -> None:
        held, key = parent(whole, part)
        del held[key]

    state = load_run(stored(FORMS["run record"], change))
    assert state is not None
    with pytest.raises(BrokenDatasetError, match=rf"^here is no run record: {part} is missing; "):
        RunPlan.parse(state, "here")


def test_a_run_is_gone_on_with_as_it_was_planned() -> None:
    state = load_run(stored(FORMS["run record"], lambda value: None))
    assert state is not None
    assert RunPlan.parse(state, "here") == PLAN
