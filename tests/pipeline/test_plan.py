"""The plan is a pure function of its inputs, and every row of it is known before it is made."""

from __future__ import annotations

import pytest

from manifests.errors import UserError
from manifests.store import open_dataset
from pipeline.plan import SynthesisPlan, SynthesisSettings, plan_translation
from tests.conftest import ToySources


def plan_of(sources: ToySources, checkpoint: str = "c" * 64, **settings: object) -> SynthesisPlan:
    chosen = SynthesisSettings.model_validate(settings)
    return plan_translation(open_dataset(sources.market), chosen, "ptgan", [checkpoint], {"domain": "duke-like"})


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


def test_what_decides_a_row_names_it_and_what_does_not_does_not(toy_sources: ToySources) -> None:
    base = plan_of(toy_sources)
    for other in (
        plan_of(toy_sources, seed=1),
        plan_of(toy_sources, quality=90),
        plan_of(toy_sources, checkpoint="d" * 64),
    ):
        assert not set(ids(base)) & set(ids(other))
    recut = plan_of(toy_sources, shard_size=3)
    assert ids(recut) == ids(base)
    assert recut.plan_id != base.plan_id
    assert set(ids(plan_of(toy_sources, limit=5))) < set(ids(base))


def test_no_person_in_the_split_is_one_line(toy_sources: ToySources) -> None:
    with pytest.raises(UserError, match="needed"):
        # A plan needs a source manifest; an identity of query images is there, so ask for an empty selection.
        plan_translation(_annotation_like(toy_sources), SynthesisSettings(), "ptgan", ["c"], {})


def _annotation_like(sources: ToySources):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    dataset = open_dataset(sources.market)
    return replace(dataset, snapshot=replace(dataset.snapshot, kind="annotation"))
