"""A Ray to run on: the cluster that a job was submitted to, one named by address, or a local one."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from manifests.common.stopping import stop_between_steps
from manifests.errors import UserError, first_line
from pipeline.cluster.resources import PATIENCE_SECONDS, StageResources
from pipeline.cluster.starting import join, start_local
from pipeline.common.devices import check_device
from pipeline.common.settings import Advanced, JobSettings

_ROOT = Path(__file__).resolve().parents[2]


class ClusterSettings(JobSettings):
    """Where a job runs and on how many actors; decides no byte of its result."""

    group = "cluster"
    workers: int | None = Field(None, ge=1, description="actors; by default as many as the cluster holds")
    ray_address: str | None = Field(None, description="a running cluster; by default the submitted job's, or local")
    wait_for_nodes: Advanced[float] = Field(
        PATIENCE_SECONDS, ge=0, description="seconds that an autoscaler may take to bring the first fitting node"
    )


def check_device_of_job(device: str, address: str | None, ray: bool = True) -> None:
    """What a job begins with: a ``device`` that is not here ends it at once, unless it works on a cluster, which
    ``address`` or ``RAY_ADDRESS`` names and ``ray`` says that it uses.

    Raises:
        UserError: there is no such GPU.
    """
    if not (ray and (address or os.environ.get("RAY_ADDRESS"))):
        check_device(device)


@contextmanager
def ray_session(address: str | None = None, local_cpus: int | None = None, device: str = "cpu") -> Iterator[None]:
    """Connect to ``address``, else to the cluster of ``RAY_ADDRESS`` (set inside a submitted job), else start
    a local Ray with ``local_cpus`` cores (all by default) that ends with the context.

    Raises:
        UserError: nothing answers at the address, a token is asked for, the local Ray does not come up, or ``device``
            is not on this machine, where it would have to be.
    """
    # With `uv run`, Ray would upload the folder and build a second environment for every worker.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A local Ray makes its own token; what its logger says of that helps nobody who started no cluster.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    check_device_of_job(device, address)
    target = address or os.environ.get("RAY_ADDRESS")
    with stop_between_steps() as stop:  # some of its modules ignore what a signal raises while they are imported
        import ray

        stop.check()
    if ray.is_initialized():
        yield
        return
    try:
        _connect(target, local_cpus)
        yield
    finally:
        ray.shutdown()


def _connect(target: str | None, local_cpus: int | None) -> None:
    from ray.exceptions import AuthenticationError

    common: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": True}
    try:
        if target:
            join(target, **common)
        else:
            with _python_path():
                start_local(num_cpus=local_cpus, include_dashboard=False, **common)
    except AuthenticationError:
        raise UserError(
            f"the Ray at {target} asks for a token that was not sent or is another: set RAY_AUTH_MODE=token, and bring "
            "the cluster's token to ~/.ray/auth_token, or name its file with RAY_AUTH_TOKEN_PATH"
        ) from None
    except Exception as error:  # Ray raises a bare Exception where its node does not come up
        said = first_line(error)
        if target:
            raise UserError(f"no Ray could be reached at {target}: {said}{_token_hint()}") from None
        raise UserError(f"Ray did not start on this machine: {said}") from None
    _guard_token()


def _token_hint() -> str:
    """Ray 2.60 says of a cluster that asks for a token and is sent none no more than that it could not be reached."""
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return ""
    return " (if it asks for a token: set RAY_AUTH_MODE=token, with the cluster's token in ~/.ray/auth_token)"


@contextmanager
def _python_path() -> Iterator[None]:
    """Workers import these packages from the folder that the driver runs from. They inherit the variable: with a
    runtime environment that says the same, Ray 2.60 takes twice as long to bring an actor up."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


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
