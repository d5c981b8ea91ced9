"""The engine: a few long-lived actors, shards of a plan handed to whoever is free.

Ray gives placement, processes, retries and object transport; what belongs to us is the plan (which shards)
and the commit (once each, in `manifests.writing.run`), so an actor that dies costs the shard in hand and no more.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Protocol

import pyarrow as pa

from manifests.common.stopping import GO_ON, StopRequest, stop_between_steps
from manifests.errors import PassingError, UserError, first_line
from pipeline.cluster.ray_faults import cause_of
from pipeline.cluster.resources import StageResources, wait_for_placement
from pipeline.cluster.session import ClusterSettings, ask_for_nodes, cluster_nodes
from pipeline.cluster.stop_bell import LOOK_SECONDS
from pipeline.common.progress import Progress

RESTARTS = 3
IN_HAND = 2
"""Shards that an actor has at most: one whose rows it makes, and the one before, which it commits."""
AWAY_SECONDS = 40.0
"""How long an actor may be away: Ray takes up to half a minute to find that a node is lost, and where the head is lost
it ends the process after a minute, before we could say a word."""

IDLE_SECONDS = 5.0
"""How long an actor that has nothing left to do may wait for the next stage while others are at their last shards."""


class ShardWorker(Protocol):
    """Holds a stage's models; computes one shard at a time, and commits it."""

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        """Compute the shard of these plan rows, commit it, and yield how many rows each step finished.

        What it does after it told of the last row, an actor does beside the first steps of the next shard: nothing but
        the commit, which looks at nothing that those change.
        """
        ...


def _as_it_is(shard: pa.Table) -> pa.Table:
    return shard


@dataclass(frozen=True)
class StageWork:
    """What a stage is to do: all ``shards`` (number -> plan rows), by workers that ``build_worker`` makes."""

    stage: str
    build_worker: Callable[[], ShardWorker]
    shards: Mapping[int, Any]
    """Asked for one by one, each when its turn comes; what it gives knows its ``num_rows``."""
    needs: StageResources
    """Of one worker."""
    rows_of: Callable[[Any], pa.Table] = _as_it_is
    """Makes of one of ``shards`` the rows that a worker takes, where that works."""


ShardRunner = Callable[[StageWork, ClusterSettings | None, Progress | None], int]
"""Gets every shard computed and returns by how many workers: `run_shards` by actors, `run_shards_here` by one."""


def run_shards_here(work: StageWork, where: ClusterSettings | None = None, progress: Progress | None = None) -> int:
    """As `run_shards`, one shard after another in this process, which may be a Ray task or know no Ray at all."""
    if not work.shards:
        return 0
    worker = work.build_worker()
    with stop_between_steps() as stop:
        for shard in sorted(work.shards):
            plan = work.rows_of(work.shards[shard])
            left = plan.num_rows
            for count in _patiently(shard, partial(worker.run, shard, plan)):
                done = min(left, count)
                left -= done
                if progress is not None:
                    progress.advance(done)
                stop.check()
    return 1


def run_shards(work: StageWork, where: ClusterSettings | None = None, progress: Progress | None = None) -> int:
    """Run every shard on actors; return how many: ``where.workers``, or as many as the cluster holds, and never more
    than shards.

    Raises:
        UserError: the stage cannot be placed, a worker meets a user's mistake, or a worker keeps dying.
    """
    with lasting_actors() as run:
        return run(work, where, progress)


@contextmanager
def lasting_actors() -> Iterator[ShardRunner]:
    """`run_shards` for several stages: a stage takes the actors of the one before, with all that they have imported,
    where they are as many as it wants and hold what it needs."""
    actors = _Actors()
    try:
        yield actors.run
    finally:
        actors.let_go()


class _Actors:
    """The actors of one stage, which may become those of the next."""

    def __init__(self) -> None:
        self._there: list[Any] = []
        self._hold = StageResources()
        self._stages = 0

    def let_go(self, keep: int = 0) -> None:
        """End them all, but for the first ``keep``."""
        import ray

        for actor in self._there[keep:]:
            ray.kill(actor)
        del self._there[keep:]

    def run(self, work: StageWork, where: ClusterSettings | None = None, progress: Progress | None = None) -> int:
        """As `run_shards`."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        if not work.shards:
            return 0
        stage, where = work.stage, where or ClusterSettings()
        room = wait_for_placement(stage, work.needs, cluster_nodes, where.wait_for_nodes, ask_for_nodes)
        count = min(len(work.shards), where.workers or room)
        if count > room:
            print(f"{stage}: {where.workers} workers asked for, the cluster holds {room} now; the rest wait for nodes")
        self._bring(count, work.needs)
        self._stages += 1
        orders = ray.put(_Orders(self._stages, work.build_worker, work.rows_of))
        try:
            with stop_between_steps() as stop:
                try:
                    self._there = _Feed(self._there, orders, work.shards, progress).run(stop)
                except RayError:
                    stop.check()  # the signal may have reached Ray's processes too
                    raise
        except RayTaskError as error:
            raise _as_user_error(error, stage) from None
        except RayError as error:
            raise UserError(
                f"stage {stage!r} lost a worker, which Ray brings back {RESTARTS} times ({cause_of(error)}); {GO_ON}"
            ) from None
        return count

    def _bring(self, count: int, needs: StageResources) -> None:
        """Have ``count`` actors that hold ``needs``."""
        import ray

        self.let_go(keep=count if self._hold.covers(needs) and len(self._there) >= count else 0)
        if not self._there:
            options = needs.as_options()
            options |= {"max_restarts": RESTARTS, "max_task_retries": RESTARTS, "max_concurrency": IN_HAND}
            actor_class: Any = ray.remote(**options)(_Actor)
            self._there, self._hold = [actor_class.remote() for _ in range(count)], needs


def _as_user_error(error: Any, stage: str) -> UserError:
    """What a worker said the user did wrong; a fault of ours is printed whole and named."""
    cause = error.cause
    if isinstance(cause, UserError):
        return cause
    reason = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
    print(error)
    return UserError(f"stage {stage!r} failed: {first_line(reason or 'no message')} (traceback above); {GO_ON}")


@dataclass(frozen=True)
class _Orders:
    """What actors are to do in the stage of that number; they come with every call, for one that Ray brings back knows
    nothing of the calls before."""

    stage: int
    build_worker: Callable[[], ShardWorker]
    rows_of: Callable[[Any], pa.Table]


class _Actor:
    """Makes its worker once a stage, in a method and not in `__init__`: what goes wrong then arrives as it was said."""

    def __init__(self) -> None:
        gc.disable()  # while all is imported: a sixth of the time
        self.worker: ShardWorker | None = None
        self.stage = 0
        self._making = Lock()
        """Of whoever makes rows, or the worker."""

    def ready(self, orders: _Orders) -> bool:
        with self._making:
            self._made(orders)
        return True

    def run(self, orders: _Orders, shard: int, plan: Any) -> Iterator[int]:
        yield from _patiently(shard, partial(self._once, orders, shard, orders.rows_of(plan)))

    def _once(self, orders: _Orders, shard: int, plan: pa.Table) -> Iterator[int]:
        """Rows of one shard at a time; once all are made the next may begin, and this one is committed."""
        left = plan.num_rows
        with self._making:
            steps = self._made(orders).run(shard, plan)
            for count in steps:
                left -= count
                if left <= 0:
                    break
                yield count
            else:
                return
        yield count
        yield from steps

    def _made(self, orders: _Orders) -> ShardWorker:
        """The stage's worker; made anew where the actor died and came back, or comes from another stage."""
        if self.worker is None or self.stage != orders.stage:
            if self.worker is not None:  # its models leave before those of the next come
                self.worker = None
                gc.unfreeze()
                gc.collect()
            self.worker, self.stage = orders.build_worker(), orders.stage
            gc.freeze()  # else all that was imported is looked through, 0.14 s each time, while every thread waits
            gc.enable()
        return self.worker


def _patiently(shard: int, run: Callable[[], Iterator[int]]) -> Iterator[int]:
    """The shard; once more, its rows told anew, where a fault that passes ended it."""
    try:
        yield from run()
    except PassingError as error:
        print(f"shard {shard} is tried once more: {error}", file=sys.stderr, flush=True)
        yield from run()


class _Feed:
    """Keeps a shard on each actor that is up until all are done, and tells ``progress`` what they yield.

    An actor that told of the last row of its shard gets the next, which it begins while it commits the one before.

    An actor that is not placed yet gets no shard (it only tells an autoscaler what is wanted). A retried
    shard yields its rows anew, so what one shard reports is capped at its number of rows.
    """

    def __init__(self, actors: list[Any], orders: Any, waiting: Mapping[int, Any], progress: Progress | None) -> None:
        """``orders`` (a reference to `_Orders`) say what to do with each of ``waiting``."""
        self._orders, self._plans, self._progress = orders, waiting, progress
        self._queue = deque(sorted(waiting))
        self._left: dict[int, int] = {}
        self._coming_up = {actor.ready.remote(orders): actor for actor in actors}
        self._running: dict[Any, tuple[Any, int]] = {}
        self._interruptions = Counter[int]()
        self._away_since: dict[Any, float] = {}
        self._idle_since: dict[Any, float] = {}

    def run(self, stop: StopRequest) -> list[Any]:
        """Until all is done; the actors that are there then. At a stop the shards in hand are dropped."""
        import ray

        try:
            while self._running or self._queue:
                self._give_places()
                events: list[Any] = ray.wait([*self._running, *self._coming_up], num_returns=1, timeout=LOOK_SECONDS)[0]
                stop.check()
                for event in events:
                    if event in self._coming_up:
                        self._greet(event)
                    else:
                        self._take(event)
        finally:
            self._drop()
        return list(self._idle_since)

    def _drop(self) -> None:
        """What is under way is not to be tried again, as Ray would announce; who still waits has no stage any more."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError):
            for stream in self._running:
                ray.cancel(stream)
            for actor in self._coming_up.values():
                ray.kill(actor)

    def _greet(self, event: Any) -> None:
        """An actor is up, or still away."""
        import ray
        from ray.exceptions import ActorUnavailableError

        actor = self._coming_up.pop(event)
        try:
            ray.get(event)
        except ActorUnavailableError as error:
            self._wait_for(actor, error)
            return
        self._away_since.pop(actor, None)
        self._start_next(actor)

    def _wait_for(self, actor: Any, error: Exception) -> None:
        """Ask an actor that is away once more, in a moment; raises the ``error`` that said so if that goes on."""
        if actor in self._coming_up.values():
            return  # two shards of it ended by this
        if time.monotonic() - self._away_since.setdefault(actor, time.monotonic()) > AWAY_SECONDS:
            raise error
        time.sleep(1.0)
        self._coming_up[actor.ready.remote(self._orders)] = actor

    def _give_places(self) -> None:
        """End actors that have nothing left to do, where others last: their places may be what one that waits for its
        own needs, or one that died, in order to come back with its shard. A shard that came back is theirs first."""
        import ray

        while self._queue and self._idle_since:
            self._start_next(self._idle_since.popitem()[0])
        patience = 0.0 if self._coming_up else IDLE_SECONDS
        for actor in [one for one, since in self._idle_since.items() if time.monotonic() - since >= patience]:
            del self._idle_since[actor]
            ray.kill(actor)

    def _start_next(self, actor: Any) -> None:
        """Give it a shard, unless it is away, still makes rows of one, or commits as many as it may have."""
        has = [shard for one, shard in self._running.values() if one is actor]
        busy = len(has) >= IN_HAND or any(self._left[shard] for shard in has)
        if busy or actor in self._coming_up.values():
            return
        if not self._queue:
            if not has:
                self._idle_since[actor] = time.monotonic()
            return
        shard = self._queue.popleft()
        plan = self._plans[shard]
        self._left.setdefault(shard, plan.num_rows)
        stream = actor.run.options(num_returns="streaming").remote(self._orders, shard, plan)
        self._running[stream] = (actor, shard)

    def _take(self, stream: Any) -> None:
        """What a shard's actor says next: rows that are done, that all are, or that it is away."""
        import ray
        from ray.exceptions import ActorUnavailableError

        actor, shard = self._running[stream]
        try:
            done = min(self._left[shard], int(ray.get(next(stream))))
        except StopIteration:
            del self._running[stream], self._left[shard]
            self._start_next(actor)
            return
        except ActorUnavailableError as error:
            # Not now: its node was lost, say, and the actor is on its way back. Whoever is free takes the shard.
            self._interruptions[shard] += 1
            if self._interruptions[shard] > RESTARTS:
                raise
            del self._running[stream]
            self._queue.appendleft(shard)
            self._wait_for(actor, error)
            return
        self._left[shard] -= done
        if self._progress is not None:
            self._progress.advance(done)
        if not self._left[shard]:
            self._start_next(actor)
