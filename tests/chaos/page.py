"""The table as a file: with the date, the kind of machine and the commit that it was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tests.chaos.commands import ROOT


def write_page(path: Path, title: str, table: str, problems: Sequence[str], about: str) -> None:
    """Write ``path``: what was done, where and when, the table, and what was not right."""
    wrong = [f"- {problem}" for problem in problems] or ["Nothing was wrong."]
    text = "\n".join([f"# {title}", "", f"{about} {machine()}", "", table, "", *wrong, ""])
    path.write_text(text, encoding="utf-8")


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown whose columns are as wide as they must be; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def machine() -> str:
    """Date, cores, processor, Python and commit in a sentence."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return f"{date.today()}, {cores} cores of {model}, Python {platform.python_version()}, commit {commit()}."


def commit() -> str:
    """The commit of this checkout, and whether files differ from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.stdout.strip() + (" with changes" if changed.stdout.strip() else "")
