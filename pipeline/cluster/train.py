"""Training on Ray: one generator on several workers (Ray Train), or many generators side by side (tasks)."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch

from manifests.common.json_text import write_json
from manifests.common.stopping import GO_ON, Stopped
from manifests.errors import UserError
from manifests.format.names import GENERATOR_CARD
from pipeline.cluster.ray_faults import cause_of
from pipeline.cluster.resources import StageResources, stage_resources, wait_for_placement
from pipeline.cluster.session import ask_for_nodes, cluster_nodes
from pipeline.cluster.starting import end_processes, has_dashboard
from pipeline.cluster.stop_bell import STOPPED, StopBell, wait_for_tasks, wait_for_thread
from pipeline.training.workers import Workers

STAGE = "train"
RETRIES = 3
"""How often a worker that died is brought back; the training goes on from its newest checkpoint."""

TrainOne = Callable[[Workers, str], Any]
"""Trains (or goes on) as one of these workers on this device."""


def train_on_workers(train: TrainOne, workers: int, device: str, output: Path) -> None:
    """Run ``train`` on ``workers`` actors of Ray Train that form one process group; needs a Ray session.

    ``train`` is sent to the workers by value; they must reach its inputs and outputs by the same names as here.

    Raises:
        UserError: the workers cannot be placed, meet a user's mistake, or keep dying.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    needs = stage_resources(STAGE, device)
    _place(needs, workers)
    bell = StopBell()
    as_worker: Callable[[], Any] = partial(_as_worker, train, device, bell)
    trainer = TorchTrainer(
        as_worker,
        torch_config=TorchConfig(backend="nccl" if device.startswith("cuda") else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=needs.gpus > 0,
            resources_per_worker={name: amount for name, amount in needs.as_demand().items() if name != "memory"},
        ),
        run_config=RunConfig(
            name="ray_train", storage_path=str(output.resolve()), failure_config=FailureConfig(max_failures=RETRIES)
        ),
    )
    if not has_dashboard():
        _drop_cleaner(trainer)
    said = _fit(trainer, bell)
    if said is not None:
        raise UserError(said)


def _drop_cleaner(trainer: Any) -> None:
    """Where there is no dashboard, Ray Train's cleaner of placement groups (Ray 2.60) can only warn, every second, that
    it cannot ask one; and that of another Ray on the host, if there is one. Such a Ray ends with its driver: nothing is
    left to clean."""
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    make = trainer._create_default_callbacks
    trainer._create_default_callbacks = lambda: [
        callback for callback in make() if not isinstance(callback, PlacementGroupCleanerCallback)
    ]


def _fit(trainer: Any, bell: StopBell) -> str | None:
    """What the first worker returned. In a thread: this one looks for signals, which Ray Train would answer itself."""
    ended: dict[str, Any] = {}

    def fit() -> None:
        try:
            ended["result"] = trainer.fit()
        except Exception as error:
            ended["error"] = error

    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    try:
        wait_for_thread(thread, bell)
    except Stopped as stopped:
        if thread.is_alive():
            _leave(stopped)
        raise
    if "error" in ended:
        raise as_user_error(ended["error"], STAGE) from None
    said: str | None = ended["result"].return_value
    return said


def _leave(stopped: Stopped) -> None:
    """End this process with the signal's line and status. Not by ``ray.shutdown``: where a thread asks a Ray that is
    being shut down, Ray 2.60 ends the process with a line and a status of its own."""
    end_processes()
    print(stopped, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(stopped.status)


def _as_worker(train: TrainOne, device: str, bell: StopBell) -> str | None:
    """What the user did wrong, if this worker found that; the first worker's word comes to `train_on_workers`.

    Returned and not raised, for what is raised Ray Train tries again, a minute each time.
    """
    from ray.train import get_context
    from ray.train.torch import get_device

    context = get_context()
    where = "cpu"
    if device == "cpu":
        torch.set_num_threads(1)  # as many threads as the stage's cores: more would fight over them
    else:
        where = str(get_device())
    try:
        with bell.heard():
            train(Workers(context.get_world_rank(), context.get_world_size()), where)
    except Stopped:
        return STOPPED
    except UserError as mistake:
        print(f"worker {context.get_world_rank()}: {mistake}", flush=True)
        torch.distributed.destroy_process_group()  # another worker that waits for this one fails
        return str(mistake)
    return None


def train_side_by_side(trainings: Mapping[str, TrainOne], device: str) -> None:
    """Run many trainings as Ray tasks, as many at a time as the cluster holds; says which is done, and time left.

    Raises:
        UserError: they cannot be placed, or one fails; the others end with the session, and go on when called again.
        Stopped: a signal came; each saved its state between two steps, if it had the time.
    """
    import ray

    needs = stage_resources(STAGE, device)
    _place(needs)
    bell = StopBell()
    task = ray.remote(max_retries=RETRIES, **needs.as_options())(_as_task)
    tasks = {task.remote(train, device, bell): name for name, train in trainings.items()}
    start, done = time.monotonic(), 0

    def tell(name: str, _: Any) -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - start) / done * (len(trainings) - done)
        line = f"{STAGE}: {name} done, {done}/{len(trainings)} ({100 * done // len(trainings)}%)"
        print(f"{line}, {timedelta(seconds=round(left))} left", flush=True)

    try:
        wait_for_tasks(tasks, bell, tell)
    except Exception as error:
        # The others are not cancelled: that aborts this process where one ends in the same moment (Ray 2.60, "Tried to
        # complete task that was not pending").
        raise as_user_error(error, STAGE) from None


def _as_task(train: TrainOne, device: str, bell: StopBell) -> Any:
    if device == "cpu":
        torch.set_num_threads(1)
    return bell.run(partial(_trained, train, device))


def _trained(train: TrainOne, device: str) -> None:
    train(Workers(), device)


def write_camstyle_card(output: Path, cameras: list[int], pairs: list[tuple[int, int]]) -> Path:
    """``camstyle.json``: which generator takes images of one camera to another, by ``"from->to"``; written last."""
    generators: dict[str, dict[str, str]] = {}
    for first, second in pairs:
        folder = f"{first}_{second}"
        digests = json.loads((output / folder / GENERATOR_CARD).read_text(encoding="utf-8"))["sha256"]
        for name, stem in ((f"{first}->{second}", "generator"), (f"{second}->{first}", "generator_back")):
            generators[name] = {"path": f"{folder}/{stem}.safetensors", "sha256": digests[stem]}
    card = {"recipe": "camstyle", "cameras": cameras, "generators": generators}
    return write_json(output / "camstyle.json", card, sort_keys=True)


def _place(needs: StageResources, count: int = 1) -> None:
    wait_for_placement(STAGE, needs, cluster_nodes, ask_for_nodes=ask_for_nodes, count=count)


def as_user_error(error: Exception, stage: str) -> UserError:
    """What the user did wrong, if a worker said so; else the first line of what went wrong."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return seen
        inner = getattr(seen, "worker_failures", None) or {}
        seen = next(iter(inner.values()), None) or getattr(seen, "cause", None) or seen.__cause__
    return UserError(f"stage {stage!r} failed: {cause_of(error)}; {GO_ON}")
