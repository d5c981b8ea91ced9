"""`reid-synth`: every job and every command of `manifests` is a verb, by its file's name alone; completion."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from manifests import __version__
from manifests.commands import COMMANDS
from reid_synth.__main__ import main
from reid_synth.completion import SHELLS, completion_script
from reid_synth.verbs import find_verbs

ROOT = Path(__file__).resolve().parents[1]
LIGHT = ("prepare source", "make toyworld", "show", "validate")
"""Verbs whose options are asked for in every shell: two of each kind, whose modules import no torch."""


@pytest.fixture
def reid_synth(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


class Command:
    """The program with a command line, in this process: exit status, and what it prints on both streams."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys

    def __call__(self, line: str) -> tuple[int, str, str]:
        with self._patch.context() as patch:
            patch.setattr("sys.argv", ["reid-synth", *line.split()])
            patch.setattr("sys.path", list(sys.path))
            patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
            patch.setattr("reid_synth.__main__.stop_quietly", lambda: None)
            try:
                status = main()
            except SystemExit as end:
                status = int(end.code or 0)
        return status, *self._capsys.readouterr()


def test_every_job_and_every_command_is_a_verb() -> None:
    scripts = [path.stem for path in (ROOT / "jobs").glob("[!_]*.py")]
    verbs = find_verbs()
    assert {verb.name.replace(" ", "_").replace("-", "_") for verb in verbs} == {*scripts, *COMMANDS}
    assert {"synthesize duke-style", "train generator", "annotate", "show"} <= {verb.name for verb in verbs}
    assert all(verb.summary and "\n" not in verb.summary for verb in verbs)


@pytest.mark.parametrize("line", ["", "--help", "-h"])
def test_help_lists_every_verb_in_a_line(reid_synth: Command, line: str) -> None:
    status, out, err = reid_synth(line)
    assert (status, err) == (0, "")
    for verb in find_verbs():
        assert len([said for said in out.splitlines() if said.startswith(f"  {verb.name}  ")]) == 1
    assert all(len(said) <= 120 for said in out.splitlines())


def test_help_of_a_first_word_lists_its_verbs(reid_synth: Command) -> None:
    status, out, _ = reid_synth("synthesize --help")
    assert status == 0
    names = [said.split()[0] for said in out.splitlines()]
    assert names == ["synthesize"] * 4


def test_the_version_is_that_of_all_packages(reid_synth: Command) -> None:
    import pipeline
    import reid_synth as package

    assert reid_synth("--version") == (0, f"reid-synth {__version__}\n", "")
    assert pipeline.__version__ == package.__version__ == __version__
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shwo runs/x", "unknown verb 'shwo': did you mean `reid-synth show`?"),
        (
            "synthesise duke-style",
            "unknown verb 'synthesise duke-style': did you mean `reid-synth synthesize duke-style`?",
        ),
        (
            "synthesize duke --output x",
            "unknown verb 'synthesize duke': did you mean `reid-synth synthesize duke-style`?",
        ),
        ("duke-style", "unknown verb 'duke-style': did you mean `reid-synth synthesize duke-style`?"),
        ("jobs/train_reid.py", "unknown verb 'jobs/train_reid.py': did you mean `reid-synth train reid`?"),
        ("train --output x", "train what? One of: train generator, train pose-tiny, train reid,"),
        ("--frobnicate", "unknown verb '--frobnicate': `reid-synth --help` lists them all"),
        ("completion tcsh", "which shell? `reid-synth completion bash|zsh|fish`"),
    ],
)
def test_what_is_no_verb_is_told_in_a_line(reid_synth: Command, line: str, said: str) -> None:
    status, out, err = reid_synth(line)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


def test_a_command_runs_and_its_help_is_that_of_the_program(reid_synth: Command, tmp_path: Path) -> None:
    assert reid_synth("show --help")[1].startswith("usage: reid-synth show URI ")
    status, _, err = reid_synth(f"validate {tmp_path}")
    assert (status, err.count("\n")) == (2, 1)


def test_a_job_runs_as_the_main_module_under_its_verb(reid_synth: Command, tmp_path: Path) -> None:
    (tmp_path / "only.csv").write_text("path,identity,camera\n")
    line = f"prepare source --layout folder --root {tmp_path} --domain d --output {tmp_path}/out"
    status, out, err = reid_synth(line)
    assert status == 2
    assert out.startswith("reid-synth prepare source: ")
    assert err.startswith("error: ")


LINES = {
    "prep": "prepare",
    "prepare so": "source",
    "prepare source --lay": "--layout",
    "prepare source --layout mark": "market1501",
    "show --wh": "--where",
    "completion f": "fish",
}
"""What stands before the cursor, and the only thing that its last word may become."""

BASH = """
source ./script
press_tab() { COMP_WORDS=(reid-synth "$@"); COMP_CWORD=$#; COMPREPLY=(); _shtab_reid_synth; echo "<${COMPREPLY[@]}>"; }
"""
FISH = """
source ./script
function press_tab; echo "<"(complete -C "reid-synth $argv" | string split -f 1 \\t)">"; end
"""
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i  # completion belongs to the line editor, which wants a terminal
zpty -w shell 'PS1=; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; reid-synth() { print "<"$@[-1]">" }'
press_tab() { zpty -w shell "reid-synth $*"$'\\t' }
"""
ZSH_END = """
zpty -w shell exit
while zpty -r shell said; do print -rn -- "$said"; done
"""


def press_tab(shell: str, folder: Path) -> list[str]:
    """What ``shell``, which finds the script in ``folder``, makes of the last word of each of `LINES`."""
    before, after = {"bash": (BASH, ""), "fish": (FISH, ""), "zsh": (ZSH, ZSH_END)}[shell]
    code = "\n".join([before, *(f"press_tab {line}" for line in LINES), after])
    done = subprocess.run([shell, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return re.findall(r"<([\w-]*)>", done.stdout)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_verbs_options_and_choices(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = completion_script(shell, [verb for verb in find_verbs() if verb.name in LIGHT])
    (tmp_path / "script").write_text(script, encoding="utf-8")
    (tmp_path / "_reid-synth").write_text(script, encoding="utf-8")
    assert press_tab(shell, tmp_path) == list(LINES.values())


def test_completion_knows_what_any_recipe_takes() -> None:
    script = completion_script("bash", [verb for verb in find_verbs() if verb.name == "train generator"])
    (offered,) = re.findall(r"_train_generator_option_strings=\((.*)\)", script)
    assert {"--config", "--recipe", "--negative-pairs", "--cameras", "--noise-size"} <= set(offered.split())


def test_every_job_has_the_settings_that_completion_looks_for() -> None:
    for verb in find_verbs():
        text = verb.path.read_text(encoding="utf-8")
        assert verb.kind == "command" or re.search(
            r"^class Settings\(|^Settings = | as Settings$", text, re.MULTILINE
        ), verb.name
