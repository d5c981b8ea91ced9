"""What each stage needs, in one place, and whether the cluster can give it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.errors import UserError

GIB = 1 << 30
PATIENCE_SECONDS = 20.0
"""How long a cluster may grow before a stage that it cannot hold ends the run."""


@dataclass(frozen=True)
class StageResources:
    """Needs of one actor of a stage: CPU cores, GPUs (both may be fractions) and memory in bytes."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0

    def covers(self, other: StageResources) -> bool:
        """Whether who holds these has room for ``other``."""
        return self.cpus >= other.cpus and self.gpus >= other.gpus and self.memory >= other.memory

    def as_demand(self) -> dict[str, float]:
        """The needs under Ray's resource names, zeros left out."""
        demand = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory)}
        return {name: amount for name, amount in demand.items() if amount > 0}

    def as_options(self) -> dict[str, Any]:
        """The needs as options of a Ray actor."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory or None}


# One actor holds the models of its stage and computes whole shards. On a CPU it computes with one thread:
# a shard's bytes then do not depend on how many actors share the machine. Beside a GPU it gets cores for
# decoding and encoding.
STAGES: Mapping[tuple[str, str], StageResources] = {
    ("annotate", "cpu"): StageResources(cpus=1, memory=3 * GIB),
    ("annotate", "cuda"): StageResources(cpus=4, gpus=1, memory=8 * GIB),
    ("synthesize", "cpu"): StageResources(cpus=1, memory=2 * GIB),
    ("synthesize", "cuda"): StageResources(cpus=4, gpus=1, memory=8 * GIB),
    ("train", "cpu"): StageResources(cpus=1, memory=2 * GIB),
    ("train", "cuda"): StageResources(cpus=4, gpus=1, memory=8 * GIB),
}


def stage_resources(stage: str, device: str) -> StageResources:
    """The declared needs of ``stage`` on ``device`` (``cpu`` or ``cuda``)."""
    return STAGES[(stage, device.partition(":")[0])]


def actors_that_fit(needs: StageResources, nodes: list[Mapping[str, float]]) -> int:
    """How many actors with ``needs`` the ``nodes`` (total resources of each) can hold at once."""
    demand = needs.as_demand()
    return sum(min((int(node.get(name, 0.0) / amount) for name, amount in demand.items())) for node in nodes)


def wait_for_placement(
    stage: str,
    needs: StageResources,
    read_nodes: Callable[[], list[Mapping[str, float]]],
    patience_seconds: float = PATIENCE_SECONDS,
    ask_for_nodes: Callable[[StageResources], None] = lambda needs: None,
    sleep: Callable[[float], None] = time.sleep,
    count: int = 1,
) -> int:
    """How many actors fit; while fewer than ``count`` do, an autoscaler is asked for a node and waited for.

    Raises:
        UserError: fewer than ``count`` actors fit within ``patience_seconds``; Ray itself would wait for ever.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        nodes = read_nodes()
        room = actors_that_fit(needs, nodes)
        if room >= count:
            return room
        if room and time.monotonic() >= deadline:
            raise UserError(
                f"stage {stage!r} was asked for {count} workers of {_describe(needs.as_demand())} each, the cluster "
                f"holds {room}; ask for fewer with --workers, or add nodes"
            )
        if time.monotonic() >= deadline:
            raise UserError(
                f"stage {stage!r} needs {_describe(needs.as_demand())} on one node, but {_describe_nodes(nodes)}; "
                "add such a node, ask for another --device, or give an autoscaler time with --wait-for-nodes"
            )
        ask_for_nodes(needs)
        sleep(1.0)


def _describe(resources: Mapping[str, float]) -> str:
    """CPU, GPU and memory as a person writes them."""
    parts = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if name in resources]
    if "memory" in resources:
        parts.append(f"{resources['memory'] / GIB:.1f} GiB memory")
    return ", ".join(parts)


def _describe_nodes(nodes: list[Mapping[str, float]]) -> str:
    if not nodes:
        return "the cluster has no node"
    largest = max(nodes, key=lambda node: (node.get("GPU", 0.0), node.get("CPU", 0.0)))
    return f"the largest of the cluster's {len(nodes)} node(s) has {_describe(largest)}"
