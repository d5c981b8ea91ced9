"""The plan is a pure function of its inputs, and every row of it is known before it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms
from manifests.reading.dataset import Dataset, open_dataset
from pipeline.common.digests import content_id, content_seed, plan_digest
from pipeline.generators.recipes.ptgan import PTGAN
from pipeline.generators.trained_set import SINGLE, GeneratorSet, Member
from pipeline.generators.training.loop import TrainingSettings
from pipeline.synthesis import samples as samples_module
from pipeline.synthesis.people import People, Person, select_people
from pipeline.synthesis.plan import RECIPE_VERSION, SynthesisPlan, SynthesisSettings, make_plan
from pipeline.synthesis.plan_kinds import PlanInputs, TranslationSettings, translations
from pipeline.synthesis.samples import Asked, Samples, asked
from tests.conftest import ToySources


def generators(*checkpoints: str) -> GeneratorSet:
    members = {name or SINGLE: Member("there", name * 64 or "c" * 64) for name in checkpoints or ("",)}
    return GeneratorSet("g", PTGAN(), 128, 64, members)


def plan_of(sources: ToySources, checkpoint: str = "", **settings: object) -> SynthesisPlan:
    chosen = TranslationSettings.model_validate(settings)
    people = select_people(open_dataset(sources.market), chosen.splits)
    known = generators()
    if checkpoint:
        known = replace(known, members={SINGLE: Member("there", checkpoint)})
    samples = translations(PlanInputs(sources.market, people, known), chosen)
    classes = ClassMap.of(people.identities)
    return make_plan(samples, chosen, known, classes, {"domain": "duke-like"}, {SINGLE: Terms.of("MIT", "agreed")})


def rows(plan: SynthesisPlan) -> pa.Table:
    return pa.concat_tables(shard.table() for shard in plan.shards.values())


def ids(plan: SynthesisPlan) -> list[str]:
    return rows(plan).column("sample_id").to_pylist()


def test_plan_is_repeatable_sorted_and_complete(toy_sources: ToySources, toy_people: int) -> None:
    first, again = plan_of(toy_sources, per_image=2), plan_of(toy_sources, per_image=2)
    assert first.plan_id == again.plan_id
    assert rows(first).equals(rows(again))
    assert first.num_rows == 2 * toy_people == len(set(ids(first)))
    order = list(zip(rows(first).column("identity").to_pylist(), ids(first), strict=True))
    assert order == sorted(order)
    assert set(rows(first).column("hard_label").to_pylist()) == set(range(len(first.classes)))
    assert first.images() == toy_people


def test_shards_are_cut_when_they_are_asked_for(toy_sources: ToySources) -> None:
    plan = plan_of(toy_sources, shard_size=4)
    assert [shard.num_rows for shard in plan.shards.values()] == list(plan.shard_rows.values())
    assert set(list(plan.shard_rows.values())[:-1]) == {4}
    some = plan.shards.only([2, 0])
    assert list(some) == [2, 0]
    assert some[2].table().column("sample_id").to_pylist() == ids(plan)[8:12]
    with pytest.raises(KeyError):
        some[1]


def person(n: int) -> Person:
    return Person(f"{n:032x}", f"{n:064x}", f"{n % 5:04d}", n % 3, "train", "set", 0, n)


def planned(count: int, columns: Sequence[Asked], shard_size: int) -> SynthesisPlan:
    """Of ``count`` people, what all of ``columns`` ask for."""
    whole = Asked(*map(np.concatenate, zip(*columns, strict=True)))
    known = generators("a", "b", "c")
    listed = Samples(
        People.of([*map(person, range(count))]),
        ("a", "b", "c"),
        len(whole.draw),
        lambda numbers: Asked(*(one[numbers] for one in whole)),
    )
    terms = dict.fromkeys(known.members, Terms.of("MIT", "agreed"))
    classes = ClassMap.of(f"{n:04d}" for n in range(5))
    return make_plan(listed, TranslationSettings(shard_size=shard_size), known, classes, {}, terms)


def test_every_name_seed_and_id_is_what_content_says() -> None:
    """Row by row, as the first version did: plans of before are taken up again."""
    people, draws = np.repeat(np.arange(40), 3), np.tile(np.arange(3), 40)
    plan = planned(40, [asked(draws, content=people, target_camera=5, generator=people % 3)], shard_size=7)
    expected = []
    for who, draw in product(map(person, range(40)), range(3)):
        member = "abc"[who.row % 3]
        key = ("ptgan", RECIPE_VERSION, plan.settings_sha256, member * 64, who.image_id, 5, "", "", draw)
        expected.append((member, who.identity, content_id("sample", *key), content_seed("draw", 0, *key)))
    found = rows(plan).select(["generator", "identity", "sample_id", "seed"]).to_pylist()
    assert [tuple(row.values()) for row in found] == sorted(expected)
    names = ["shard_size", "7", *(row["sample_id"] for row in found), *(f"{one}: MIT, agreed" for one in "abc")]
    assert plan.plan_id == plan_digest("synthesize", {"rows": plan.settings_sha256}, names)


def test_names_that_begin_alike_are_sorted_by_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    make = partial(planned, 40, [asked(np.arange(300), content=np.arange(300) % 40)], shard_size=1000)
    plain, leading = make(), samples_module.leading
    monkeypatch.setattr(samples_module, "leading", lambda names: leading(names) >> np.uint64(62) << np.uint64(62))
    assert make().plan_id == plain.plan_id


def test_more_samples_than_a_plan_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="2200000000 samples are more than a plan holds"):
        Samples(People.of([]), ("",), 2_200_000_000, asked)


def test_a_shard_is_of_one_generator_and_sorted() -> None:
    plan = planned(40, [asked(np.zeros(40, int), content=np.arange(40), generator=np.arange(40) % 3)], shard_size=5)
    cut = []
    for one in plan.shards.values():
        shard = one.table()
        assert shard.num_rows <= 5
        assert len(set(shard.column("generator").to_pylist())) == 1
        order = list(zip(shard.column("identity").to_pylist(), shard.column("sample_id").to_pylist(), strict=True))
        assert order == sorted(order)
        cut += shard.column("sample_id").to_pylist()
    assert cut == ids(plan)
    assert len(set(cut)) == 40
    # Two full shards and a rest for each of 14, 13 and 13 rows: no generator is loaded twice.
    assert len(plan.shards) == 9


def test_a_sample_is_named_by_its_own_generator_and_by_what_is_asked() -> None:
    nought, one = np.zeros(1, int), np.ones(1, int)
    several = [
        asked(nought, content=nought),
        asked(nought, content=nought, generator=1),
        asked(one, content=nought),
        asked(nought, content=nought, target_camera=3),
        asked(nought, content=nought, pose_class=3),
        asked(nought, content=nought, pose_of=nought),
        asked(nought),
    ]
    plan = planned(1, several, shard_size=100)
    assert len(set(ids(plan))) == len(several)
    assert len(set(rows(plan).column("seed").to_pylist())) == len(several)
    alone = planned(1, several[:1], shard_size=1)
    assert ids(alone)[0] in ids(plan)  # what else is planned does not change it
    assert Counter(rows(plan).column("camera").to_pylist()) == {0: 5, 3: 1, None: 1}


def test_what_decides_a_row_names_it_and_what_does_not_does_not(toy_sources: ToySources) -> None:
    base = plan_of(toy_sources)
    for other in (
        plan_of(toy_sources, seed=1),
        plan_of(toy_sources, quality=90),
        plan_of(toy_sources, label_rule="one_hot"),
        plan_of(toy_sources, checkpoint="d" * 64),
    ):
        assert not set(ids(base)) & set(ids(other))
    recut = plan_of(toy_sources, shard_size=3)
    assert ids(recut) == ids(base)
    assert recut.plan_id != base.plan_id
    for part, whole in ((plan_of(toy_sources, limit=5), base), (base, plan_of(toy_sources, per_image=2))):
        assert set(ids(part)) < set(ids(whole))
        assert part.classes == whole.classes


def test_no_person_in_the_split_is_one_line(toy_sources: ToySources) -> None:
    with pytest.raises(UserError, match="needed"):
        # A plan needs a source manifest; an identity of query images is there, so ask for an empty selection.
        select_people(_annotation_like(toy_sources), ["train"])


def _annotation_like(sources: ToySources) -> Dataset:
    dataset = open_dataset(sources.market)
    return replace(dataset, snapshot=replace(dataset.snapshot, kind="annotation"))


def test_sizes_are_bounded_as_those_of_trained_files_are() -> None:
    for model in (SynthesisSettings, TrainingSettings):
        for side in ("height", "width"):
            assert getattr(model.model_validate({side: 4096}), side) == 4096
            with pytest.raises(ValidationError, match="less than or equal to 4096"):
                model.model_validate({side: 100_000_000})
