"""The verbs of `reid-synth`, found from files' names: a new job or command is a verb without being listed anywhere.

``jobs/VERB_REST.py`` is ``reid-synth VERB REST-with-dashes``; a file with a ``HELP`` in ``manifests/commands`` is the
verb of its name. Files are read and not imported: what most of them import takes seconds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import manifests
from manifests.errors import UserError

_HERE = Path(__file__).resolve().parent
_COMMANDS = Path(manifests.__file__).parent / "commands"


@dataclass(frozen=True)
class Verb:
    """One verb: its ``words``, as they are typed, and the file that does it."""

    words: tuple[str, ...]
    kind: Literal["job", "command"]
    path: Path

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        if self.kind == "command":
            return _constant(tree, "HELP") or ""
        paragraph = (ast.get_docstring(tree) or "").partition("\n\n")[0]
        return " ".join(paragraph.split()).removesuffix(".")


def find_verbs() -> list[Verb]:
    """All verbs: jobs, then commands, each by the alphabet."""
    jobs = [Verb(_job_words(path), "job", path) for path in sorted(_jobs_folder().glob("[!_]*.py"))]
    commands = [
        Verb((path.stem,), "command", path)
        for path in sorted(_COMMANDS.glob("[!_]*.py"))
        if "\nHELP = " in path.read_text(encoding="utf-8")
    ]
    return [*jobs, *commands]


def choose_verb(verbs: Sequence[Verb], typed: Sequence[str]) -> tuple[Verb, list[str]]:
    """The verb that ``typed`` begins with, and what is typed after it.

    Raises:
        UserError: there is none; the message names the nearest, or those of which the first word is one.
    """
    for verb in sorted(verbs, key=lambda verb: -len(verb.words)):
        if tuple(typed[: len(verb.words)]) == verb.words:
            return verb, list(typed[len(verb.words) :])
    family = verbs_of(verbs, typed[0])
    if family and (len(typed) == 1 or typed[1].startswith("-")):
        raise UserError(f"{typed[0]} what? One of: {', '.join(verb.name for verb in family)}")
    for words in (typed[:2], typed[:1]):
        if near := _nearest([verb.name for verb in family or verbs], words):
            raise UserError(f"unknown verb {' '.join(words)!r}: did you mean `reid-synth {near}`?")
    raise UserError(f"unknown verb {typed[0]!r}: `reid-synth --help` lists them all")


def verbs_of(verbs: Iterable[Verb], word: str) -> list[Verb]:
    """Those that begin with ``word`` and go on."""
    return [verb for verb in verbs if verb.words[0] == word and len(verb.words) > 1]


def _jobs_folder() -> Path:
    """Inside this package where a wheel brought it, beside it in a checkout."""
    inside = _HERE / "jobs"
    return inside if inside.is_dir() else _HERE.parent / "jobs"


def _job_words(path: Path) -> tuple[str, ...]:
    verb, _, rest = path.stem.partition("_")
    return (verb, rest.replace("_", "-")) if rest else (verb,)


def _nearest(names: Sequence[str], words: Sequence[str]) -> str | None:
    """The name most like ``words``, which may also be a job's file."""
    text = Path(" ".join(words)).name.removesuffix(".py").replace("_", "-").lower()
    return next(iter(get_close_matches(text, names, n=1)), None)


def _constant(tree: ast.Module, name: str) -> str | None:
    """The text that the module gives ``name``, as far as it is written out."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return str(ast.literal_eval(statement.value))
    return None
