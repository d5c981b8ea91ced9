"""A training on workers without Ray Train, whose controller alone takes longer than a small training."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from pipeline.cluster.train import TrainOne
from pipeline.training.workers import Workers


def train_in_processes(train: TrainOne, workers: int, device: str, output: Path) -> None:
    """In the place of `train_on_workers`: forked processes that form one group; ``train`` is sent by value as there."""
    from ray import cloudpickle

    sent = cloudpickle.dumps(train)
    with tempfile.TemporaryDirectory() as folder:
        given = (sent, workers, device, folder)
        processes.start_processes(_worker, given, nprocs=workers, start_method="forkserver")


def _worker(rank: int, sent: bytes, workers: int, device: str, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=workers)
    pickle.loads(sent)(Workers(rank, workers), device)
    dist.destroy_process_group()
