"""Benchmarks stand outside the package, on private parts of it: the one that leans on most of them still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "worker_speed.py"
SMALL = {"identities": 4, "height": 32, "width": 16, "shard-size": 40, "threads": 1}


def test_the_work_around_a_generator_is_measured(tmp_path: Path) -> None:
    flags = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(SCRIPT), "--inside", "--folder", str(tmp_path / "drawn"), *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for figure in ("cpu", "least", "bound, 1 cores", "cpu, scores counted by a device"):
        assert found[figure] > 0, figure
