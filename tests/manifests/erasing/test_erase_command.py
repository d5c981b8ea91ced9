"""`python -m manifests erase` as a user gives it: what it says, its exit status, mistakes in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifests.__main__ import main
from tests.manifests.erasing.family import GONE, Family, edit_json


def test_the_command(local: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.txt"
    image = local.source.read(["image_id"]).column("image_id")[0].as_py()
    listed.write_text(f"# people who asked\n{GONE}\n\n{image}\nidentity: nobody\n")
    assert main(["erase", *local.uris, "--list", str(listed), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{local.source.uri}: would erase 4 source rows" in said
    assert "on no row of these data sets (misspelt, or erased before): nobody" in said
    assert main(["erase", *local.uris, "--list", str(listed), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["rows"] for one in report["datasets"]] == [4, 10, 4]
    assert report["receipt"]
    assert main(["show", local.source.uri]) == 0
    assert "1 rejected of 14 planned, 5 erased since" in capsys.readouterr().out
    assert main(["erase", *local.uris, "--identity", GONE]) == 1, "a script must not take a misspelt name for erased"
    assert f"{local.source.uri}: nothing" in capsys.readouterr().out


def test_a_card_that_somebody_changed_is_written_anew_and_that_is_said(
    local: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Path(local.source.uri, "README.md")
    card.write_text(card.read_text(encoding="utf-8") + f"\nThanks to {GONE}.\n", encoding="utf-8")
    assert main(["erase", *local.uris, "--identity", GONE, "--dry-run"]) == 0
    assert (
        capsys.readouterr().out.count("README.md was changed by hand or is of an older version: would be written") == 1
    )
    assert main(["erase", *local.uris, "--identity", GONE]) == 0
    assert capsys.readouterr().out.count("was written anew") == 1
    assert "Thanks" not in card.read_text(encoding="utf-8")


def test_to_finish_what_was_stopped_is_no_mistake(local: Family, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erase", *local.uris, "--identity", GONE]) == 0
    edit_json(local.source.uri, "run.json", lambda run: run.update(status="erasing"))
    capsys.readouterr()
    assert main(["erase", *local.uris, "--identity", GONE]) == 0
    assert f"{local.source.uri}: an earlier erasure had been stopped there; it is finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nobody is named"),
        (["--identity", ""], "nobody is named"),
        (["--image", "0001.jpg"], "'0001.jpg' names no image"),
        (["--list", "missing.txt"], "cannot read the list missing.txt"),
    ],
)
def test_mistakes_are_one_line(
    local: Family, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", *local.uris, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
