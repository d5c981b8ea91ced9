"""What a run ran on: code, libraries, processor. Goes into the run record, never into a row."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from manifests import __version__

_LIBRARIES = (
    *("torch", "torchvision", "ray", "pyarrow", "polars", "opencv-python", "simplejpeg", "numpy"),
    *("mmpose", "mmengine", "segment-anything"),
)
_ROOT = Path(__file__).resolve().parents[2]


def environment(device: str = "cpu", threads: int | None = None) -> dict[str, Any]:
    """Version, git commit and whether dirty, lock digest, library versions, processor, instruction set, threads.

    Byte-identical output is promised between two runs whose ``fingerprint`` is equal.
    """
    decisive = {
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        **_hardware(device),
        "threads": threads,
    }
    fingerprint = hashlib.sha256(repr(sorted(decisive.items(), key=str)).encode()).hexdigest()[:16]
    lock = _ROOT / "requirements.lock"
    return {
        "fingerprint": fingerprint,
        **decisive,
        "version": __version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
    }


def _hardware(device: str) -> dict[str, str | None]:
    """Instruction set and device as torch sees them; a job that does not use torch has no need to import it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {"instruction_set": None, "device": "cpu"}
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") and torch.cuda.is_available() else device
    return {"instruction_set": torch.backends.cpu.get_cpu_capability(), "device": name}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Output of a git command in the project's folder; None outside a checkout (an uploaded job, a wheel).

    An installed wheel may lie in another project's checkout, whose commit says nothing of us.
    """
    if not (_ROOT / ".git").exists():
        return None
    try:
        answer = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
