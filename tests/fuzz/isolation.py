"""A hunt in a process of its own: a crash, a flood of memory or a hang there is a finding here."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from tests.fuzz.hunt import CASE_SECONDS, Findings, hunt
from tests.fuzz.target import Target

MEMORY = 3 << 30
"""Bytes of address space that a target may ask for beside what it has when it is set up."""
_CONTEXT = multiprocessing.get_context("spawn")


def explore(target: Target, seed: int, seconds: float, folder: Path, crashes: int = 5) -> Findings:
    """Hunt for ``seconds``, setting up not counted; a process that dies or hangs is replaced by one that goes on with
    another seed, until there were so many ``crashes``."""
    found = Findings()
    begun = time.monotonic()
    for attempt in range(crashes):
        left = seconds - (time.monotonic() - begun if attempt else 0.0)
        if left <= 0 or _explored(target, seed + 1000 * attempt, left, folder, found):
            break
    return found


def _explored(target: Target, seed: int, seconds: float, folder: Path, found: Findings) -> bool:
    """Whether the process came to its end by itself."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    begun, count = _CONTEXT.Value("d", 0.0), _CONTEXT.Value("q", 0)
    process = _CONTEXT.Process(target=_hunt, args=(target, seed, seconds, folder, sender, begun, count))
    process.start()
    sender.close()
    hung = False
    while not receiver.poll(1.0):
        if begun.value and time.monotonic() - begun.value > 3 * CASE_SECONDS:
            hung = True
            process.kill()
    message = _message(receiver)
    process.join()
    found.cases += count.value
    if isinstance(message, Findings):
        found.failures |= message.failures
        return True
    case = (folder / "case").read_text(errors="replace")[:800] if (folder / "case").exists() else "none yet"
    what = "does not end" if hung else f"the process died with status {process.exitcode}"
    found.failures[f"{what} {len(found.failures)}"] = f"{what}: {message or ''}; case {case}"
    return False


def _message(receiver: Connection) -> Any:
    try:
        return receiver.recv()
    except EOFError:
        return None


def _hunt(
    target: Target,
    seed: int,
    seconds: float,
    folder: Path,
    sender: Connection,
    begun: Synchronized[float],
    count: Synchronized[int],
) -> None:
    # What decoders print of broken files is a screen of lines for each; failures go by the pipe.
    for number in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    tempfile.tempdir = str(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def begin(case: Any) -> None:
        begun.value, count.value = time.monotonic(), count.value + 1
        (folder / "case").write_text(repr(case), errors="replace")

    try:
        reader = target.set_up()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        sender.send(hunt(reader, seed, time.monotonic() + seconds, begin=begin))
    except BaseException as error:  # not of a case: of the target's set-up, or memory ran out between cases
        sender.send(f"{type(error).__name__}: {error}")
