"""A line of a page as the program that it calls would read it: its own settings say what is wrong, nothing is run."""

from __future__ import annotations

import io
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from manifests.__main__ import main as manifests_main
from manifests.commands import COMMANDS
from pipeline.checkpoints import CHECKPOINTS
from pipeline.common import settings as job_settings
from tests.pages.markdown import ROOT

JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("[a-z]*.py"))
_FOREIGN = {"pip", "ray", "cd", "chmod", "."}
_ASSIGNMENT = re.compile(r"\w+=\S*$")


def lines_of(text: str) -> list[str]:
    """The commands of a block: continued lines are one, remarks and empty lines none."""
    joined = re.sub(r"\\\n\s*", " ", text)
    commands = (part.strip() for line in joined.splitlines() for part in _split(line))
    return [command for command in commands if command and not command.startswith("#")]


def _split(line: str) -> list[str]:
    """Commands that ``&&`` joins; none inside of quotes."""
    return re.split(r"\s&&\s", line) if '"' not in line else [line]


def fault(line: str) -> str | None:
    """What is wrong with a command line, in the words of the program that it calls; None where all is well."""
    words = shlex.split(line, comments=True)
    while words and (words[0] == "export" or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    if not words:
        return None
    if ">" in words:
        words = words[: words.index(">")]
    program, *arguments = words
    if program == "ray" and "--" in arguments:
        return fault(shlex.join(arguments[arguments.index("--") + 1 :]))
    if program == "make":
        return _make_fault(arguments)
    if program == "reid-synth":
        return _verb_fault(arguments)
    if Path(program).name == "python":
        return _python_fault(arguments)
    return _missing_files(arguments) if program in _FOREIGN else f"unknown program {program}"


def _python_fault(arguments: list[str]) -> str | None:
    first, *rest = arguments
    if first == "-m":
        module, *rest = rest
        return _module_fault(module, rest)
    script = ROOT / first
    if not script.is_file():
        return f"there is no {first}"
    if script.parent.name == "jobs":
        return job_fault(script.stem, rest)
    return _flags_in_text(script, rest)


def _module_fault(module: str, arguments: list[str]) -> str | None:
    if module == "manifests":
        return manifests_fault(arguments)
    if module == "pipeline.checkpoints":
        verb, *names = arguments
        unknown = set(names) - set(CHECKPOINTS)
        known = verb in {"list", "fetch", "verify"} and not unknown
        return None if known else f"pipeline.checkpoints does not know {verb} {unknown or ''}"
    there = ROOT.joinpath(*module.split("."))
    if module in {"pip", "venv", "pytest"} or (there / "__main__.py").is_file():
        return None
    return f"there is no module {module}"


def _verb_fault(arguments: list[str]) -> str | None:
    if not arguments or arguments[0] in COMMANDS:
        return manifests_fault(arguments)
    found = job_of(arguments)
    return job_fault(*found) if found else f"no verb of reid-synth: {' '.join(arguments)}"


def job_of(arguments: list[str]) -> tuple[str, list[str]] | None:
    """The job that ``reid-synth VERB REST`` runs, which is ``jobs/VERB_REST.py``, and its arguments."""
    for count in (2, 1):
        job = "_".join(arguments[:count]).replace("-", "_")
        if job in JOBS:
            return job, arguments[count:]
    return None


def job_model(job: str, arguments: list[str]) -> type[Any]:
    """The settings that a job of ``jobs/`` would read these arguments by."""
    taken: list[type[Any]] = []
    script = str(ROOT / "jobs" / f"{job}.py")

    def run_job(model: type[Any], main: Callable[..., Any]) -> None:
        taken.append(model)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(job_settings, "run_job", run_job))
        stack.enter_context(mock.patch.object(sys, "argv", [script, *arguments]))
        sys.modules["_start"] = ModuleType("_start")  # not by `patch.dict`, which would forget torch again
        stack.callback(sys.modules.pop, "_start")
        runpy.run_path(script, run_name="__main__")
    return taken[0]


def job_fault(job: str, arguments: list[str]) -> str | None:
    """What the job would say of its arguments before it does anything."""
    model = job_model(job, arguments)
    with mock.patch.object(sys, "argv", [f"{job}.py", *arguments]):
        return _said(lambda: job_settings.run_job(model, lambda settings: 0))


def manifests_fault(arguments: list[str]) -> str | None:
    """What ``python -m manifests`` would say of its arguments before it does anything."""
    with ExitStack() as stack:
        for command in COMMANDS.values():
            stack.enter_context(mock.patch.object(command, "run", return_value=0))
        return _said(lambda: sys.exit(manifests_main(arguments)))


def _said(program: Callable[[], object]) -> str | None:
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            program()
        except SystemExit as end:
            status = end.code
    return None if not status else err.getvalue().strip().splitlines()[-1]


def _make_fault(arguments: list[str]) -> str | None:
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    unknown = [name for name in arguments if "=" not in name and name not in rules]
    return f"the Makefile makes no {unknown[0]}" if unknown else None


def _flags_in_text(script: Path, arguments: list[str]) -> str | None:
    """For scripts that read their arguments in other ways: each flag stands in the script."""
    text = script.read_text(encoding="utf-8")
    unknown = [flag for flag in arguments if flag.startswith("--") and flag not in text]
    return f"{script.name} does not know {unknown[0]}" if unknown else None


def _missing_files(arguments: list[str]) -> str | None:
    """Files of the repository that a foreign program is given."""
    named = [word for word in arguments if word.endswith((".yaml", ".toml", ".lock", ".txt"))]
    missing = [name for name in named if not (ROOT / name).exists()]
    return f"there is no {missing[0]}" if missing else None
