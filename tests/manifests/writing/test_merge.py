from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.format.names import subject_key
from manifests.format.schema import SOURCE_SCHEMA, SOURCE_TYPE_KEY, SYNTHETIC_SCHEMA, source_type_uri
from manifests.format.soft_labels import ClassMap, expand
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.runs import runs
from manifests.showing.trace import trace
from manifests.storage.whole_files import open_storage
from manifests.writing.merge import merge
from manifests.writing.run import DatasetRun, ShardSink
from tests.manifests.manifest_rows import name, sha
from tests.manifests.people_rows import (
    assert_no_trace,
    everything,
    noise_rows,
    people_annotations,
    people_source,
    people_synthetic,
    rejects,
    write,
)

MARKET = ["anna", "bert", "carl"]
DUKE = ["bert", "dora"]


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def market(root: str, rule: str = "lsr", *, count: int = 2, called: str = "market", **options: Any) -> Dataset:
    classes = ClassMap.of(MARKET)
    rows = people_synthetic(people_source("market", MARKET, count), classes, rule, f"{called} {rule}")
    return write(f"{root}/{called}-{rule}", "synthetic", rows, classes=classes, plan=f"{called} {rule}", **options)


def duke(root: str, rule: str = "teacher", **options: Any) -> Dataset:
    classes = ClassMap.of(DUKE)
    shards = [people_source("duke", DUKE[:1], 3), people_source("duke", DUKE[1:], 3)]
    rows = [people_synthetic(shard, classes, rule, "duke") for shard in shards]
    return write(f"{root}/duke-{rule}", "synthetic", *rows, classes=classes, plan="duke", **options)


def uris(*datasets: Dataset) -> list[str]:
    return [dataset.uri for dataset in datasets]


def test_people_are_united_and_namesakes_are_not(root: str) -> None:
    a, b = market(root), duke(root)
    merged = merge(uris(a, b), f"{root}/merged")
    assert validate(merged.uri).faults == [], validate(merged.uri).to_text()
    assert merged.classes == ClassMap(("market:anna", "market:bert", "market:carl", "duke:bert", "duke:dora"))
    rows = merged.read().to_pylist()
    assert len(rows) == 12
    for row in rows:
        assert row["hard_label"] == merged.classes.number(row["identity"])
        (home,) = {source["dataset_id"] for source in row["sources"]}
        assert row["subject_keys"] == [subject_key(home, row["identity"])]
    np.testing.assert_allclose(expand(merged.read()).sum(axis=1), 1, atol=1e-6)
    assert {row["plan_id"] for row in rows} == {name("market lsr"), name("duke")}


def test_one_numbering_stays_as_it_is(root: str) -> None:
    """Several recipes from one source: no label changes a bit."""
    sets = [market(root, rule) for rule in ("lsr", "teacher", "one_hot", "mprl")]
    noise = write(
        f"{root}/noise",
        "synthetic",
        noise_rows(4, ClassMap.of(MARKET), "noise"),
        classes=ClassMap.of(MARKET),
        plan="noise",
        run={"inputs": [{"id": "market"}]},
    )
    merged = merge(uris(*sets, noise), f"{root}/merged")
    assert merged.classes == ClassMap.of(MARKET)
    assert merged.read().equals(pa.concat_tables([one.read() for one in (*sets, noise)]))
    assert validate(merged.uri).faults == []


def test_the_first_inputs_numbers_survive(root: str) -> None:
    a, b = duke(root), market(root)
    merged = merge(uris(a, b), f"{root}/merged")
    assert merged.classes == ClassMap(("duke:bert", "duke:dora", "market:anna", "market:bert", "market:carl"))
    first = merged.read().slice(0, a.snapshot.rows)
    assert first.column("hard_label").equals(a.read().column("hard_label"))


def test_a_merge_of_merges_knows_who_is_who(root: str) -> None:
    once = merge(uris(market(root), duke(root)), f"{root}/once")
    more = market(root, "one_hot", count=3)
    twice = merge(uris(once, more), f"{root}/twice")
    assert twice.classes == once.classes
    assert validate(twice.uri).faults == []
    rows = twice.read(["identity", "plan_id"]).to_pylist()
    assert {row["identity"] for row in rows if row["plan_id"] == name("market one_hot")} == {
        "market:anna",
        "market:bert",
        "market:carl",
    }
    plans = [run.plan_id for run in runs(twice)]
    assert plans[:2] == [name("market lsr"), name("duke")]
    assert plans[3] == name("market one_hot")


def test_duplicates_are_left_out_and_counted(root: str) -> None:
    a = market(root, count=2, called="small")
    classes = ClassMap.of(MARKET)
    both = people_synthetic(people_source("market", MARKET, 3), classes, "lsr", "small lsr")
    broken = rejects({"source_sha256": sha("x")})
    b = write(f"{root}/large", "synthetic", both, classes=classes, rejected=broken, plan="small lsr")
    merged = merge(uris(a, b), f"{root}/merged")
    snapshot = merged.snapshot
    assert (snapshot.planned, snapshot.rows, snapshot.rejected) == (6 + 9 + 1, 9, 7)
    assert snapshot.reasons == {"corrupt": 1, "duplicate": 6}
    twins = merged.rejects().filter(pc.equal(merged.rejects().column("reason"), "duplicate"))
    assert set(twins.column("item_id").to_pylist()) == set(a.read().column("sample_id").to_pylist())
    assert validate(merged.uri).faults == []


def test_source_and_annotation_sets(root: str) -> None:
    sources = [
        write(f"{root}/{one}", "source", people_source(one, people, 2), plan=one)
        for one, people in (("market", MARKET), ("duke", DUKE))
    ]
    merged = merge(uris(*sources), f"{root}/sources")
    assert set(merged.read().column("identity").to_pylist()) == {
        "market:anna",
        "market:bert",
        "market:carl",
        "duke:bert",
        "duke:dora",
    }
    assert validate(merged.uri).faults == []
    notes = [
        write(f"{root}/{n}-notes", "annotation", people_annotations(one.read()), plan=f"notes {n}")
        for n, one in enumerate(sources)
    ]
    merged = merge(uris(*notes), f"{root}/notes")
    assert merged.snapshot.rows == 10
    assert validate(merged.uri).faults == []


def test_erasing_from_a_union_by_either_name(root: str) -> None:
    merged = merge(uris(market(root), duke(root)), f"{root}/merged")
    for asked in ("bert", "duke:bert"):
        told = erase([merged.uri], Request(frozenset({asked}), dataset_id="duke"), dry_run=True)
        assert (told.datasets[0].rows, told.datasets[0].retired) == (3, (3,))
    with pytest.raises(UserError, match="people of duke and market"):
        erase([merged.uri], Request(frozenset({"bert"})))
    erase([merged.uri], Request(frozenset({"duke:bert"})))
    after = open_dataset(merged.uri)
    assert after.classes == ClassMap(("market:anna", "market:bert", "market:carl", None, "duke:dora"))
    assert_no_trace(merged.uri, [b"duke:bert", subject_key("duke", "bert").encode()])
    assert validate(merged.uri).faults == []


def test_erasing_from_unions_of_sources_and_of_what_was_made_of_them(root: str) -> None:
    sources = [
        write(f"{root}/{one}", "source", people_source(one, people, 3), plan=one)
        for one, people in (("market", MARKET), ("duke", DUKE))
    ]
    both = merge(uris(*sources), f"{root}/sources"), merge(uris(market(root, count=3), duke(root)), f"{root}/made")
    made = both[1].read(["identity", "sources"]).to_pylist()
    people = dict(zip(*(both[0].read([c]).column(c).to_pylist() for c in ("image_sha256", "identity")), strict=True))
    assert all(people[row["sources"][0]["sha256"]] == row["identity"] for row in made)
    report = erase(uris(*both), Request(frozenset({"bert"}), dataset_id="market"))
    assert [one.rows for one in report.datasets] == [3, 3]
    for one in both:
        assert_no_trace(one.uri, [b"market:bert", subject_key("market", "bert").encode()])
        assert validate(one.uri).faults == []


def test_retired_classes_are_shared(root: str) -> None:
    sets = [market(root, rule) for rule in ("teacher", "mprl")]
    for one in sets:
        erase([one.uri], Request(frozenset({"bert"})))
    other = duke(root)
    erase([other.uri], Request(frozenset({"bert"})))
    merged = merge(uris(*sets, other), f"{root}/merged")
    assert merged.classes == ClassMap(("market:anna", None, "market:carl", "duke:dora"))
    assert validate(merged.uri).faults == []
    after = merged.read()
    ranked = after.filter(pc.equal(after.column("label_rule"), "mprl"))
    before = expand(open_dataset(sets[1].uri).read())
    assert (before[:, 1] > 0).all()
    assert (expand(ranked)[:, :3] == before).all()
    np.testing.assert_allclose(expand(after).sum(axis=1), 1, atol=1e-6)


def test_filtering_keeps_the_numbering(root: str) -> None:
    """Filtered rows are over all classes still; written under the data set's own footer, so is the new data set."""
    dataset = merge(uris(market(root), duke(root)), f"{root}/merged")
    wanted = dataset.read(filter=pc.field("camera") == 1).filter(pa.array([True, False] * 6))
    wanted = wanted.sort_by([("identity", "ascending"), ("sample_id", "ascending")])
    whole = dict(zip(dataset.read().column("sample_id").to_pylist(), expand(dataset.read()), strict=True))
    run = DatasetRun.start(f"{root}/filtered", "synthetic", name("filter"), {0: wanted.num_rows}, footer=dataset.footer)
    run.sink.commit(0, wanted, row_plans=set(wanted.column("plan_id").to_pylist()))
    run.close()
    filtered = open_dataset(f"{root}/filtered")
    assert filtered.classes == dataset.classes
    assert validate(filtered.uri).faults == []
    rows = filtered.read()
    labels = expand(rows, len(filtered.classes or ()))
    for sample, row in zip(rows.column("sample_id").to_pylist(), labels, strict=True):
        assert (row == whole[sample]).all()
    again = merge(uris(filtered, market(root, "one_hot")), f"{root}/again")
    assert again.classes == dataset.classes


def test_appending_to_a_union(root: str) -> None:
    merged = merge(uris(market(root), duke(root)), f"{root}/merged")
    classes = merged.classes
    assert classes is not None
    rows = people_synthetic(people_source("market", ["market:anna", "market:carl"], 5), classes, "lsr", "more")
    run = DatasetRun.start(merged.uri, "synthetic", name("more"), {0: 10}, footer=merged.footer, append=True)
    run.sink.commit(0, rows)
    run.close()
    assert validate(merged.uri).faults == []
    assert open_dataset(merged.uri).classes == classes


def test_a_stopped_merge_goes_on_and_gives_the_same_bytes(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [market(root), duke(root)]
    whole = merge(uris(*sets), f"{root}/whole")
    commit = ShardSink.commit
    monkeypatch.setattr(
        ShardSink, "commit", lambda sink, shard, *rest, **more: _stop(commit, sink, shard, *rest, **more)
    )
    with pytest.raises(KeyboardInterrupt):
        merge(uris(*sets), f"{root}/merged")
    monkeypatch.undo()
    with pytest.raises(UserError, match="not finished"):
        open_dataset(f"{root}/merged")
    merged = merge(uris(*sets), f"{root}/merged")
    assert merged.digest() == whole.digest()
    if not root.startswith(
        "memory:"
    ):  # a store takes the equal record of an attempt in the same second for the first's
        assert len(merged.run["resumed"]) == 1
    before = everything(merged.uri)
    merge(uris(*sets), f"{root}/merged")
    assert everything(merged.uri) == before


def _stop(commit: Any, sink: ShardSink, shard: int, *rest: Any, **more: Any) -> Any:
    if shard == 1:
        raise KeyboardInterrupt
    return commit(sink, shard, *rest, **more)


def test_provenance_of_the_union(root: str) -> None:
    terms = {"id": "market", "licence": "CC0", "consent": "signed"}
    model = {"name": "g", "sha256": sha("generator"), "recipe": "ptgan"}
    run = {"job": "synthesize", "inputs": [terms], "checkpoints": [model], "settings": {"seed": 3}}
    a, b = market(root, run=run), market(root, "one_hot", run=run)
    merged = merge(uris(a, b), f"{root}/merged")
    record = merged.run["run"]
    assert record["job"] == "merge"
    assert [(one["uri"], one["digest"]) for one in record["merged"]] == [(one.uri, one.digest()) for one in (a, b)]
    assert [one.plan_id for one in runs(merged)[:2]] == [name("market lsr"), name("market one_hot")]
    assert [(one.settings, one.inputs[0].licence) for one in runs(merged)[:2]] == [({"seed": 3}, "CC0")] * 2
    row = merged.read(["sample_id", "plan_id"]).to_pylist()[-1]
    chain = trace(merged, row["sample_id"])
    assert chain.run is not None
    assert chain.run.plan_id == row["plan_id"] == name("market one_hot")
    assert chain.models[0].name == "g"
    card = (open_storage(merged.uri).read("README.md") or b"").decode()
    assert "CC0" in card


def test_classes_of_unknown_origin_are_not_guessed(root: str) -> None:
    """Rows of noise, and a run that does not say whose images it learned from."""
    classes = ClassMap.of(["bert"])
    lost = write(f"{root}/lost", "synthetic", noise_rows(2, classes, "lost"), classes=classes, plan="lost")
    with pytest.raises(UserError, match=r"nothing in .*lost says of which data set its class 'bert' is"):
        merge(uris(lost, duke(root)), f"{root}/merged")
    other = write(
        f"{root}/other",
        "synthetic",
        noise_rows(2, ClassMap.of(["zoe"]), "other"),
        classes=ClassMap.of(["zoe"]),
        plan="other",
    )
    assert merge(uris(lost, other), f"{root}/merged").classes == ClassMap(("bert", "zoe"))


def test_what_a_row_was_beside_others_is_not_said_of_the_union(root: str) -> None:
    def scored(called: str) -> Dataset:
        rows = people_synthetic(people_source(called, MARKET, 1), ClassMap.of(MARKET), plan=called).to_pylist()
        told = {"sharpness": 0.5, "uniqueness": 0.25, "repeats": 1.0, "map_x": 0.5, "map_y": 0.5}
        table = pa.Table.from_pylist([{**row, "quality": told} for row in rows], schema=SYNTHETIC_SCHEMA)
        return write(f"{root}/{called}", "synthetic", table, classes=ClassMap.of(MARKET), plan=called)

    union = merge([scored("market").uri, scored("harbour").uri], f"{root}/union")
    assert len(union.where("quality.sharpness = 0.5")) == 6
    assert not len(union.where("quality.uniqueness >= 0 OR quality.repeats >= 0 OR quality.map_x >= 0"))


def test_empty_data_sets(root: str) -> None:
    a = duke(root)
    known: dict[str, Any] = {"classes": ClassMap.of(DUKE), "run": {"inputs": [{"id": "duke"}]}}
    empty = write(f"{root}/empty", "synthetic", a.read().slice(0, 0), plan="empty", **known)
    nothing = write(f"{root}/nothing", "synthetic", plan="nothing", **known)
    merged = merge(uris(empty, nothing), f"{root}/merged")
    assert (merged.snapshot.rows, merged.classes) == (0, ClassMap.of(DUKE))
    assert validate(merged.uri).faults == []


def test_mistakes_are_one_line(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = market(root), duke(root)
    source = write(f"{root}/source", "source", people_source("market", MARKET, 1))
    bare = write(f"{root}/bare", "synthetic", people_synthetic(people_source("m", ["x"], 1), ClassMap.of(["x"])))
    cases = {
        "two data sets or more": [a.uri],
        "is named twice": [a.uri, b.uri, a.uri],
        "merge one kind": [a.uri, source.uri],
        "no data set at": [a.uri, f"{root}/missing"],
        "has no class map": [a.uri, bare.uri],
    }
    for said, inputs in cases.items():
        assert main(["merge", *inputs, "--output", f"{root}/merged"]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
        assert open_storage(f"{root}/merged").list() == []
    assert main(["merge", *uris(a, b), "--output", a.uri]) == 2
    assert "is one of the data sets to merge" in capsys.readouterr().err
    assert main(["merge", *uris(a, b), "--output", source.uri]) == 2
    assert "finished data set of another plan" in capsys.readouterr().err


def test_the_command(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = market(root), duke(root)
    assert main(["merge", *uris(a, b), "--output", f"{root}/merged"]) == 0
    assert "12 synthetic rows of 2 data sets, 5 classes; 0 duplicates left out" in capsys.readouterr().out
    assert main(["merge", *uris(a, b), "--output", f"{root}/merged", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 5


def test_the_command_tells_of_images_of_other_sizes(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = []
    for place, width in (("near", 64), ("far", 8), ("again", 8)):
        rows = [{**row, "width": width} for row in people_source(place, DUKE, 2).to_pylist()]
        table = pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA)
        places.append(write(f"{root}/{place}", "source", table, plan=place).uri)
    assert main(["merge", *places[1:], "--output", f"{root}/alike"]) == 0
    assert "note" not in capsys.readouterr().out
    assert main(["merge", *places, "--output", f"{root}/merged"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("note: images of 2 sizes (64x16: 4, 8x16: 8): ")
    assert "transform=" in said


def made_so(uri: Path, source_type: str) -> str:
    """A data set whose shards say so of how its images came to be."""
    rows = people_synthetic(people_source("market", MARKET, 2), ClassMap.of(MARKET), "lsr", source_type)
    said = {ClassMap.FOOTER_KEY: ClassMap.of(MARKET).to_json(), SOURCE_TYPE_KEY: source_type_uri(source_type)}
    run = DatasetRun.start(str(uri), "synthetic", name(source_type), {0: rows.num_rows}, footer=said)
    run.sink.commit(0, rows)
    run.close()
    return run.uri


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("algorithmicallyEnhanced", "composite", "composite"),
        ("algorithmicMedia", "composite", "algorithmicMedia"),
        ("composite", "trainedAlgorithmicMedia", "trainedAlgorithmicMedia"),
    ],
)
def test_a_union_says_what_is_furthest_from_a_camera(tmp_path: Path, one: str, other: str, together: str) -> None:
    merged = merge([made_so(tmp_path / name, name) for name in (one, other)], f"{tmp_path}/union")
    assert merged.footer[SOURCE_TYPE_KEY] == source_type_uri(together)
    assert validate(merged.uri).faults == []


def test_what_all_shards_say_of_themselves_stands_on_those_of_the_union(tmp_path: Path) -> None:
    """Rows that a program drew are not said to be a trained model's."""
    parts = []
    for number, other in enumerate(("a", "b")):
        rows = people_synthetic(people_source("market", MARKET, 2), ClassMap.of(MARKET), "lsr", other)
        footer = {ClassMap.FOOTER_KEY: ClassMap.of(MARKET).to_json(), "reid_synth.digital_source_type": "drawn"}
        run = DatasetRun.start(
            f"{tmp_path}/{number}", "synthetic", name(other), {0: rows.num_rows}, footer=footer | {"of": other}
        )
        run.sink.commit(0, rows)
        run.close()
        parts.append(run.uri)
    footer = merge(parts, f"{tmp_path}/union").footer
    assert footer["reid_synth.digital_source_type"] == "drawn"
    assert "of" not in footer
