"""A job as its command line runs it, in this process: no second start of Python, torch and Ray."""

from __future__ import annotations

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

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
