"""A job as its command line runs it, in this process: no second start of Python, torch and Ray."""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from pipeline.cluster import synthesis_job
from pipeline.cluster.pool import run_shards_here

JOBS = Path(__file__).resolve().parents[2] / "jobs"


def run(job: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` would say of ``python jobs/<job> <arguments>``; a Ray that runs here is used."""
    command = [str(JOBS / job), *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    said = redirect_stdout(out), redirect_stderr(err)
    # As python does it: the script's folder comes first, and what it imports from there is imported anew.
    found = mock.patch.object(sys, "path", [str(JOBS), *sys.path])
    sys.modules.pop("_start", None)
    with mock.patch.object(sys, "argv", command), found, said[0], said[1], pytest.raises(SystemExit) as caught:
        runpy.run_path(command[0], run_name="__main__")
    assert isinstance(caught.value.code, int)
    return subprocess.CompletedProcess(command, caught.value.code, out.getvalue(), err.getvalue())


@contextmanager
def without_ray() -> Iterator[None]:
    """Shards one after another in this process: how they come to actors is the same for every kind of job."""
    here = mock.patch.object(synthesis_job, "lasting_actors", return_value=nullcontext(run_shards_here))
    with here, mock.patch.object(synthesis_job, "ray_session", return_value=nullcontext()):
        yield


def run_without_ray(folder: Path, job: str, *arguments: object) -> None:
    """A synthesis job as the whole of a forked process that may be killed; it stands in ``folder``."""
    os.chdir(folder)
    with without_ray():
        run(job, *arguments)
