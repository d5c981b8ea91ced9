"""A Ray to run on: the cluster that a job was submitted to, one named by address, or a local one."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from manifests.errors import UserError
from pipeline.cluster.resources import PATIENCE_SECONDS, StageResources
from pipeline.settings import JobSettings

_ROOT = Path(__file__).resolve().parents[2]


class ClusterSettings(JobSettings):
    """Where a job runs and on how many actors; decides no byte of its result."""

    workers: int | None = Field(None, ge=1, description="actors; by default as many as the cluster holds")
    ray_address: str | None = Field(None, description="a running cluster; by default the submitted job's, or local")
    wait_for_nodes: float = Field(
        PATIENCE_SECONDS, ge=0, description="seconds that an autoscaler may take to bring the first fitting node"
    )


@contextmanager
def ray_session(address: str | None = None, local_cpus: int | None = None) -> Iterator[None]:
    """Connect to ``address``, else to the cluster of ``RAY_ADDRESS`` (set inside a submitted job), else start
    a local Ray with ``local_cpus`` cores (all by default) that ends with the context.

    Raises:
        UserError: nothing answers at the address.
    """
    # With `uv run`, Ray would upload the folder and build a second environment for every worker.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # A local Ray makes its own token; what its logger says of that helps nobody who started no cluster.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    import ray

    if ray.is_initialized():
        yield
        return
    target = address or os.environ.get("RAY_ADDRESS")
    common: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": True}
    try:
        if target:
            ray.init(address=target, **common)
        else:
            _start_local(local_cpus, common)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"at {target}" if target else "on this machine"
        raise UserError(f"no Ray could be reached {where}: {str(error).splitlines()[0]}") from None
    _guard_token()
    try:
        yield
    finally:
        ray.shutdown()


def _start_local(cpus: int | None, common: Mapping[str, Any]) -> None:
    """Start a local Ray; a loaded machine can exceed Ray's fixed start-up wait once, so try twice."""
    import ray

    # Workers import these packages from the folder that the driver runs from.
    python_path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    options: dict[str, Any] = {
        "address": "local",
        "num_cpus": cpus,
        "include_dashboard": False,
        "runtime_env": {"env_vars": {"PYTHONPATH": python_path}},
        **common,
    }
    try:
        ray.init(**options)
    except Exception as error:
        print(f"Ray did not start ({str(error).splitlines()[0]}); trying once more", file=sys.stderr)
        ray.shutdown()
        ray.init(**options)


def _guard_token() -> None:
    """Ray writes the token of a local cluster readable for all users of the machine; it is its owner's alone."""
    token = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError):
        token.chmod(0o600)


def cluster_nodes() -> list[Mapping[str, float]]:
    """Total resources of each living node."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def ask_for_nodes(needs: StageResources) -> None:
    """Tell an autoscaler, if there is one, that room for one such actor is wanted."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[needs.as_demand()])
