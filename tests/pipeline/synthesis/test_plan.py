"""The plan is a pure function of its inputs, and every row of it is known before it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms
from manifests.reading.dataset import Dataset, open_dataset
from pipeline.generators.recipes.ptgan import PTGAN
from pipeline.generators.trained_set import SINGLE, GeneratorSet, Member
from pipeline.generators.training.loop import TrainingSettings
from pipeline.synthesis.plan import Person, Sample, SynthesisPlan, SynthesisSettings, make_plan, select_people
from pipeline.synthesis.plan_kinds import PlanInputs, TranslationSettings, translations
from tests.conftest import ToySources


def generators(*checkpoints: str) -> GeneratorSet:
    members = {name or SINGLE: Member("there", name * 64 or "c" * 64) for name in checkpoints or ("",)}
    return GeneratorSet("g", PTGAN(), 128, 64, members)


def plan_of(sources: ToySources, checkpoint: str = "", **settings: object) -> SynthesisPlan:
    chosen = TranslationSettings.model_validate(settings)
    people = select_people(open_dataset(sources.market), chosen)
    known = generators()
    if checkpoint:
        known = replace(known, members={SINGLE: Member("there", checkpoint)})
    samples = translations(PlanInputs(sources.market, people, known), chosen)
    classes = ClassMap.of(person.identity for person in people)
    return make_plan(samples, chosen, known, classes, {"domain": "duke-like"}, {SINGLE: Terms.of("MIT", "agreed")})


def ids(plan: SynthesisPlan) -> list[str]:
    return plan.rows.column("sample_id").to_pylist()


def test_plan_is_repeatable_sorted_and_complete(toy_sources: ToySources, toy_people: int) -> None:
    first, again = plan_of(toy_sources, per_image=2), plan_of(toy_sources, per_image=2)
    assert first.plan_id == again.plan_id
    assert first.rows.equals(again.rows)
    assert first.rows.num_rows == 2 * toy_people == len(set(ids(first)))
    order = list(zip(first.rows.column("identity").to_pylist(), ids(first), strict=True))
    assert order == sorted(order)
    assert set(first.rows.column("hard_label").to_pylist()) == set(range(len(first.classes)))


def test_shards_cover_the_rows_in_order(toy_sources: ToySources) -> None:
    plan = plan_of(toy_sources, shard_size=4)
    cut = [name for _, shard in sorted(plan.shards.items()) for name in shard.column("sample_id").to_pylist()]
    assert cut == ids(plan)
    assert {shard.num_rows for shard in list(plan.shards.values())[:-1]} == {4}


def people(count: int) -> list[Person]:
    return [Person(f"{n:032x}", f"{n:064x}", f"{n % 5:04d}", n % 3, "train", "set", 0, n) for n in range(count)]


def many_generators(samples: Sequence[Sample], shard_size: int) -> SynthesisPlan:
    known = generators(*sorted({sample.generator for sample in samples}))
    chosen = TranslationSettings(shard_size=shard_size)
    terms = dict.fromkeys(known.members, Terms.of("MIT", "agreed"))
    return make_plan(samples, chosen, known, ClassMap.of(f"{n:04d}" for n in range(5)), {}, terms)


def test_a_shard_is_of_one_generator_and_sorted() -> None:
    samples = [Sample(0, person, generator="abc"[number % 3]) for number, person in enumerate(people(40))]
    plan = many_generators(samples, shard_size=5)
    cut = []
    for shard in plan.shards.values():
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
    person = people(1)[0]
    asked = [
        Sample(0, person, generator="a"),
        Sample(0, person, generator="b"),
        Sample(1, person, generator="a"),
        Sample(0, person, target_camera=3, generator="a"),
        Sample(0, person, pose_class=3, generator="a"),
        Sample(0, person, pose_of=person, generator="a"),
        Sample(0, generator="a"),
    ]
    plan = many_generators(asked, shard_size=100)
    assert len(set(ids(plan))) == len(asked)
    assert len(set(plan.rows.column("seed").to_pylist())) == len(asked)
    alone = many_generators(asked[:1], shard_size=1)
    assert ids(alone)[0] in ids(plan)  # what else is planned does not change it
    assert Counter(plan.rows.column("camera").to_pylist()) == {0: 5, 3: 1, None: 1}


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
        select_people(_annotation_like(toy_sources), TranslationSettings())


def _annotation_like(sources: ToySources) -> Dataset:
    dataset = open_dataset(sources.market)
    return replace(dataset, snapshot=replace(dataset.snapshot, kind="annotation"))


def test_sizes_are_bounded_as_those_of_trained_files_are() -> None:
    for model in (SynthesisSettings, TrainingSettings):
        for side in ("height", "width"):
            assert getattr(model.model_validate({side: 4096}), side) == 4096
            with pytest.raises(ValidationError, match="less than or equal to 4096"):
                model.model_validate({side: 100_000_000})
