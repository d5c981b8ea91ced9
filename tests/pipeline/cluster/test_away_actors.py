"""Actors that Ray calls unavailable for a while, played by stand-ins: no node is lost for the sake of a test."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import ray
from ray.exceptions import ActorUnavailableError

from manifests.common.stopping import StopRequest
from pipeline.cluster import pool
from pipeline.cluster.pool import RESTARTS, _Feed

PLANS = {number: pa.table({"row": [0, 1]}) for number in range(3)}


class Actor:
    """Is away for the first ``times`` things that it is asked, then does what it is asked."""

    def __init__(self, times: int, away_in_run: bool = False) -> None:
        self.times, self.away_in_run, self.done = times, away_in_run, list[int]()
        self.ready = SimpleNamespace(remote=lambda orders: iter([self._ready]))
        self.run = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._run))

    def _absent(self) -> None:
        if self.times:
            self.times -= 1
            raise ActorUnavailableError("the node is gone", None)

    def _ready(self) -> bool:
        if not self.away_in_run:
            self._absent()
        return True

    def _run(self, orders: None, shard: int, plan: pa.Table) -> Iterator[Any]:
        def rows() -> int:
            if self.away_in_run:
                self._absent()
            self.done.append(shard)
            return plan.num_rows

        return iter([rows])


class AwayInCommits(Actor):
    """Is away when it has told of all rows of its first two shards, and is back when it is asked."""

    def __init__(self) -> None:
        super().__init__(2, away_in_run=True)
        self.asked = 0

    def _ready(self) -> bool:
        self.asked += 1
        return True

    def _run(self, orders: None, shard: int, plan: pa.Table) -> Iterator[Any]:
        def committed() -> int:
            self._absent()
            self.done.append(shard)
            return 0

        return iter([lambda: plan.num_rows, committed])


class Seen:
    """Counts rows as the progress line does."""

    rows = 0

    def advance(self, count: int) -> None:
        self.rows += count


@pytest.fixture(autouse=True)
def _played(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are iterators of what is to be called; any is there at once, in the order that they came."""
    monkeypatch.setattr(ray, "wait", lambda events, **_: (list(events)[:1], list(events)[1:]))
    monkeypatch.setattr(ray, "get", lambda event: (next(event) if isinstance(event, Iterator) else event)())
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    monkeypatch.setattr(ray, "cancel", lambda stream: None)
    monkeypatch.setattr(pool.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("away_in_run", [False, True])
def test_what_an_actor_had_in_hand_is_done_once(away_in_run: bool) -> None:
    actors = [Actor(RESTARTS, away_in_run), Actor(0)]
    seen: Any = Seen()
    _Feed(actors, None, PLANS, seen).run(StopRequest())
    assert sorted([*actors[0].done, *actors[1].done]) == [0, 1, 2]
    assert seen.rows == 6


def test_two_shards_of_an_actor_that_goes_away_are_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an actor that is asked once whether it is back, and has no more than two in hand."""
    at_once = list[int]()

    def all_tell_in_turn(events: list[Any], **_: object) -> tuple[list[Any], list[Any]]:
        at_once.append(len(events))
        return events, []

    monkeypatch.setattr(ray, "wait", all_tell_in_turn)
    actor, seen = AwayInCommits(), Seen()
    _Feed([actor], None, PLANS, seen).run(StopRequest())  # type: ignore[arg-type]  # all of it that is asked
    assert sorted(actor.done) == [0, 1, 2]
    assert seen.rows == 6
    assert actor.asked == 2
    assert max(at_once) == 2


def test_a_shard_whose_actor_goes_away_each_time_ends_the_run() -> None:
    with pytest.raises(ActorUnavailableError):
        _Feed([Actor(RESTARTS + 1, away_in_run=True)], None, PLANS, None).run(StopRequest())


def test_an_actor_that_stays_away_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "AWAY_SECONDS", 0.0)
    with pytest.raises(ActorUnavailableError):
        _Feed([Actor(10**6)], None, PLANS, None).run(StopRequest())


def test_who_still_waits_at_the_end_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = list[Any]()
    monkeypatch.setattr(ray, "kill", killed.append)
    at_work, waits = Actor(0), Actor(1)
    assert _Feed([at_work, waits], None, PLANS, None).run(StopRequest()) == [at_work]
    assert at_work.done == [0, 1, 2]
    assert killed == [waits]


@pytest.mark.parametrize(("waiting", "seconds", "makes_way"), [(0, 60, False), (0, 0, True), (1, 60, True)])
def test_who_has_nothing_left_to_do_makes_way(
    waiting: int, seconds: float, makes_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where somebody waits for a place, else after a while: one that died may need it."""
    killed = list[Any]()
    monkeypatch.setattr(ray, "kill", killed.append)
    monkeypatch.setattr(pool, "IDLE_SECONDS", seconds)
    idle = Actor(0)
    feed = _Feed([Actor(0)] * waiting, None, {}, None)
    feed._start_next(idle)
    feed._give_places()
    assert killed == [idle] * makes_way


def test_who_has_nothing_left_to_do_takes_what_another_could_not() -> None:
    idle = Actor(0)
    feed = _Feed([Actor(10**6)], None, {0: PLANS[0]}, None)
    shard = feed._queue.pop()
    feed._start_next(idle)
    feed._queue.append(shard)
    assert feed.run(StopRequest()) == [idle]
    assert idle.done == [0]
