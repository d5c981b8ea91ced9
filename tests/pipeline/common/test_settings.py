"""Settings from command line and YAML, and what a user reads when they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from manifests.errors import UserError
from pipeline.common.settings import Found, JobSettings, Positional, parse_settings, run_job


class Example(JobSettings):
    """An example."""

    source: str = Field(description="where from")
    per_image: int = Field(1, ge=1)
    recipe: Literal["ptgan", "cyclegan"] = "ptgan"
    cameras: list[int] = Field([])
    dry_run: bool = False


def test_command_line_overrides_yaml(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("source: a\nper-image: 3\ncameras: [4]\n")
    parsed = parse_settings(Example, ["--config", str(config), "--source", "b", "--dry-run"])
    assert parsed == Example(source="b", per_image=3, cameras=[4], dry_run=True)
    assert parse_settings(Example, ["--source", "b", "--cameras", "1,2"]).cameras == [1, 2]


def test_a_part_has_the_other_models_settings_and_no_more() -> None:
    class Part(JobSettings):
        per_image: int = 7
        cameras: list[int] = Field([])
        elsewhere: int = 5

    assert Example(source="a", per_image=3, cameras=[4]).part(Part) == Part(per_image=3, cameras=[4], elsewhere=5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--source is required"),
        (["--source", "a", "--per-image", "0"], "--per-image: Input should be greater than or equal to 1"),
        (["--source", "a", "--nonsense", "1"], "unknown option --nonsense"),
        (["--source", "a", "--recipe", "cyclegna"], "(got 'cyclegna') (did you mean cyclegan?)"),
        (["--sorce", "a", "--camera", "1", "--xyz"], "unknown options --sorce (did you mean --source?), --camera"),
        (["--source", "a", "--cam", "1"], "unknown option --cam (did you mean --cameras?)"),
        (["--source", "a", "b"], "unexpected argument 'b'"),
        (["--per-image", "x", "--no-dry-run=1"], "--no-dry-run: ignored explicit argument '1'"),
        (["--config", "/nowhere.yaml"], "cannot read the configuration file /nowhere.yaml"),
        (["--config"], "--config: expected one argument"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_settings(Example, arguments)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_short_for_several_names_them_all() -> None:
    class Two(JobSettings):
        backgrounds: int = 3
        background_share: float = 0.5

    with pytest.raises(UserError, match=r"unknown option --background \(did you mean --background-share or --backgrou"):
        parse_settings(Two, ["--background", "asked"])
    assert parse_settings(Two, ["--backgrounds", "4"]).backgrounds == 4


def test_what_a_job_finds_is_no_option(tmp_path: Path) -> None:
    class Finding(JobSettings):
        found: Found[tuple[int, ...]] = Field((), description="counted")

    config = tmp_path / "job.yaml"
    config.write_text("found: [1]\n")
    for given in (["--found", "1"], ["--config", str(config)]):
        with pytest.raises(UserError, match="unknown"):
            parse_settings(Finding, given)
    assert Finding(found=(1,)).part(Finding).found == (1,), "and stays a setting"


def test_unknown_yaml_key_is_named(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("source: a\nworkerz: 3\nper-imag: 3\n")
    expected = r"unknown setting of the configuration file 'workerz', 'per_imag' \(did you mean per_image\?\); known: "
    with pytest.raises(UserError, match=expected):
        parse_settings(Example, [f"--config={config}"])


def test_run_job_turns_a_user_error_into_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["jobs/example.py", "--source", "a"])

    def main(settings: Example) -> None:
        raise UserError(f"no folder {settings.source}")

    with pytest.raises(SystemExit) as caught:
        run_job(Example, main)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: no folder a\n"


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("/somewhere/jobs/example.py", ["--source", "a", "--cameras", "3"], "example.py: source=a cameras=[3]\n"),
        ("reid-synth make example", ["--source", "b", "--per-image", "1"], "reid-synth make example: source=b\n"),
    ],
)
def test_a_job_says_which_settings_are_no_defaults(
    program: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", [program, *arguments])
    with pytest.raises(SystemExit, match="0"):
        run_job(Example, lambda settings: None)
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("program", "usage"),
    [
        ("/somewhere/jobs/example.py", "usage: python jobs/example.py --source SOURCE [options]\n"),
        ("/usr/bin/reid-synth make example", "usage: reid-synth make example --source SOURCE [options]\n"),
    ],
)
def test_help_names_the_program_as_it_was_called(
    program: str, usage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [program, "--help"])
    with pytest.raises(SystemExit, match="0"):
        run_job(Example, lambda settings: None)
    assert capsys.readouterr().out.startswith(usage)


def test_all_that_is_missing_or_wrong_is_in_one_line() -> None:
    class Two(JobSettings):
        """Two of each."""

        dataset: Positional[str]
        source: str
        output: str
        rows: int = Field(1, ge=1)
        share: float = Field(0.5, le=1)

    with pytest.raises(UserError) as caught:
        parse_settings(Two, ["--rows", "0", "--share", "2"])
    assert str(caught.value) == (
        "DATASET, --source, --output are required; --rows: Input should be greater than or equal to 1 (got '0'); "
        "--share: Input should be less than or equal to 1 (got '2')"
    )
    assert parse_settings(Two, ["set", "--source", "a", "--output=b"]) == Two(dataset="set", source="a", output="b")


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["a,b"], ["a", "b"]),
        (["a", "b,c"], ["a", "b", "c"]),
        (['"a,b",c'], ["a,b", "c"]),
        (["[a, b]"], ["a", "b"]),
        (['["0006", 0107]'], ["0006", "0107"]),
        (["[]"], []),
        ([""], [""]),
        (["quality.x < 0"], ["quality.x < 0"]),
    ],
)
def test_lists_repeat_the_flag_or_take_commas(texts: list[str], values: list[str]) -> None:
    class Listed(JobSettings):
        """With a list, and numbers to choose from."""

        names: list[str] = Field(["default"])
        stride: Literal[1, 2] = 1
        limit: int | None = 3

    given = [part for text in texts for part in ("--names", text)]
    parsed = parse_settings(Listed, [*given, "--stride", "2", "--limit", "None"])
    assert parsed == Listed(names=values, stride=2, limit=None)


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_numbers_are_finite(value: str) -> None:
    class Rated(JobSettings):
        """With a rate."""

        rate: float = Field(1.0, gt=0)

    with pytest.raises(UserError, match=r"^--rate: Input should be a (finite number|number|valid number)"):
        parse_settings(Rated, ["--rate", value])
