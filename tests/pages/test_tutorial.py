"""The tutorial, command after command, on a few drawn people, small and short."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from shutil import copy

import pytest

from manifests.__main__ import main as manifests_main
from manifests.reading.dataset import open_dataset
from tests.jobs.in_process import run, without_ray
from tests.pages.commands import job_of, lines_of
from tests.pages.markdown import DOCS, Block, blocks
from tests.toy_inputs import ToySources

PAGE = DOCS / "tutorial.md"
NAMES = ("anna", "bo", "cem", "dora", "eva", "finn")
SMALL = {
    r"--steps 100\b": "--steps 2 --height 64 --width 32",
    r"--height 128 --width 64": "--height 32 --width 16",
    r"(score dataset .*)": r"\1 --target-steps 2",
    r"reliability < 0.2": "reliability <= 1",  # of a network of two steps
}


@pytest.fixture
def folder(toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``lobby/NAME/*.jpg`` and ``yard/*.jpg``, as the page wants them."""
    people = toy_sources.world / "market-like"
    for image in sorted(people.rglob("0*.jpg")):
        number = int(image.name[:4])
        if 1 <= number <= len(NAMES):
            home = tmp_path / "lobby" / NAMES[number - 1]
            home.mkdir(parents=True, exist_ok=True)
            copy(image, home)
    (tmp_path / "yard").mkdir()
    for image in sorted((toy_sources.world / "duke-like").rglob("bounding_box_train/*.jpg")):
        copy(image, tmp_path / "yard")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def give(line: str) -> str:
    """What a command prints, in small."""
    for usual, small in SMALL.items():
        line = re.sub(usual, small, line)
    words = shlex.split(line)
    assert words[0] == "reid-synth"
    found = job_of(words[1:])
    if found is None:
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            assert manifests_main(words[1:]) == 0, f"{line}\n{said.getvalue()}"
        return said.getvalue()
    done = run(f"{found[0]}.py", *found[1])
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def printed(code: str) -> str:
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(code, PAGE.name, "exec"), {})
    return said.getvalue()


def follow(parts: list[Block]) -> dict[str, str]:
    """What each command printed; a block of text shows what the code before it prints."""
    told: dict[str, str] = {}
    last = ""
    for block in parts:
        if block.language == "python":
            last = printed(block.text)
        elif block.language == "text":
            assert block.text == last, block.place
        else:
            told |= {line: give(line) for line in lines_of(block.text) if "--device cuda" not in line}
    return told


def test_the_tutorial_is_followed_to_its_end(folder: Path) -> None:
    with without_ray():
        told = follow(blocks(PAGE))
    assert len(told) >= 16
    rows = open_dataset("runs/lobby-as-yard").scan().collect()
    assert set(rows["identity"]) == {"anna", "cem", "dora"}
    assert set(rows["label_rule"]) == {"lsr"}
    measured = [said for line, said in told.items() if "evaluate_reid" in line]
    assert all("2 queries in" in said for said in measured)
    assert all(
        (folder / name).is_file() for name in ("lobby.png", "doubtful.png", "runs/lobby-as-yard-contact-sheet.png")
    )
