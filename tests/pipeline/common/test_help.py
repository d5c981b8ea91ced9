"""What --help and --print-config show of a job's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

import jobs.annotate
import jobs.benchmark_recipes
import jobs.choose_rows
import jobs.compare_recipes
import jobs.evaluate_reid
import jobs.make_toyworld
import jobs.prepare_source
import jobs.remake_samples
import jobs.score_dataset
import jobs.synthesize_camera_styles
import jobs.synthesize_canonical_poses
import jobs.synthesize_duke_style
import jobs.synthesize_random_people
import jobs.train_generator
import jobs.train_reid
from pipeline.common.settings import (
    Advanced,
    Cluster,
    Input,
    JobSettings,
    Output,
    Positional,
    Run,
    argument_parser,
    parse_settings,
)
from pipeline.generators.recipes import RECIPES

MODELS: dict[str, type[BaseModel]] = {
    **{
        name: getattr(jobs, name).Settings
        for name in (
            *("annotate", "benchmark_recipes", "choose_rows", "compare_recipes", "evaluate_reid", "make_toyworld"),
            *("prepare_source", "remake_samples", "score_dataset", "synthesize_camera_styles", "train_reid"),
            *("synthesize_canonical_poses", "synthesize_duke_style", "synthesize_random_people"),
        )
    },
    **{f"train_generator {name}": jobs.train_generator.settings_for(recipe) for name, recipe in RECIPES.items()},
}


class Labels(JobSettings):
    """Of a part."""

    group = "labels"

    rule: Literal["one_hot", "lsr"] | None = Field(None, description="rule of the rows; by default the recipe's")
    epsilon: Advanced[float] = Field(0.125, description="share of 100% that others get")


class Job(Labels):
    """Make images of people who are not here, and say of each of them in more words than fit on a line whose it is."""

    group = "recipe"

    ray_address: Cluster[str | None] = Field(None, description="a cluster")
    threads: Annotated[int | None, Field(ge=1, description="CPU threads")] = None
    seed: int = Field(0, description="follows from it")
    scored: bool = Field(True, description="score rows")
    dry_run: Run[bool] = Field(False, description="write nothing")
    output: Output[Path] = Field(description="folder to write")
    annotations: Input[list[str]] = Field([], description="of the source")
    source: Input[str] = Field(description="manifest")
    names: Positional[Input[list[str]]] = Field([], description="ids of rows")
    epsilon: float = Field(0.25, description="another share")


def shown(columns: int, monkeypatch: pytest.MonkeyPatch, everything: bool = False) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return argument_parser(Job, "reid-synth make images", everything=everything).format_help()


def test_help_has_groups_with_what_is_required_first_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(80, monkeypatch)
    assert max(map(len, text.splitlines())) < 80
    usage, said, *groups = text.split("\n\n")
    assert usage == "usage: reid-synth make images --source SOURCE [NAMES ...] --output PATH\n         [options]"
    assert said.startswith("Make images of people who are not here")
    assert [group.partition(":")[0] for group in groups] == [
        *("input", "output", "labels", "recipe", "run", "cluster", "settings and help")
    ]
    inputs, _, labels, recipe, run = (" ".join(group.split()) for group in groups[:5])
    assert inputs == (
        "input: --source SOURCE manifest [required] NAMES ids of rows --annotations ANNOTATIONS,... of the source"
    )
    assert recipe == (
        "recipe: --threads N CPU threads --seed N follows from it [default: 0] --[no-]scored score rows [default: on]"
    )
    assert labels == "labels: --rule RULE rule of the rows; by default the recipe's [one_hot or lsr]"
    assert run == "run: --dry-run write nothing"
    assert "--epsilon" not in text
    assert "show 1 more" in text


def test_help_all_has_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--epsilon X" in shown(120, monkeypatch, everything=True)
    with pytest.raises(SystemExit, match="0"):
        parse_settings(Job, ["--help-all"])


def test_examples_are_those_of_the_docstring_under_the_programs_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    job = jobs.synthesize_duke_style
    text = argument_parser(job.Settings, "reid-synth synthesize duke-style", job.__doc__ or "").format_help()
    assert text.endswith(
        """
examples:
  # the embedded default, into runs/demo/dataset
  reid-synth synthesize duke-style
  reid-synth synthesize duke-style --source runs/a --target runs/b \\
      --generator runs/ptgan --output runs/a-as-b
"""
    )


@pytest.mark.parametrize("name", MODELS)
def test_help_of_every_job_is_narrow_and_speaks_of_no_types(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = argument_parser(MODELS[name], f"python jobs/{name}.py").format_help()
    assert max(map(len, text.splitlines())) < 80
    assert not {word for word in ("Optional", "list[", "Annotated", "NoneType", "None)", "Literal") if word in text}
    brief = argument_parser(MODELS[name], f"python jobs/{name}.py", everything=False).format_help()
    assert len(brief.splitlines()) <= 70


def test_a_printed_configuration_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--source", "a: b", "--seed", "7", "--annotations", "0006,x", "--no-scored", "--rule", "lsr", "id1", "id2"]
    text = printed(Job, given, capsys)
    assert "\n# manifest [required]\nsource: 'a: b'\n" in text
    assert "\n# folder to write [required]\n# output:\n" in text
    assert "\n# another share [default: 0.25]\n# epsilon: 0.25\n" in text
    assert "\nseed: 7\n" in text
    file = tmp_path / "job.yaml"
    file.write_text(text)
    again = parse_settings(Job, ["--config", str(file), "--output", "there", "--seed", "8"])
    assert again == parse_settings(Job, [*given, "--output", "there", "--seed", "8"])


@pytest.mark.parametrize("name", MODELS)
def test_every_jobs_defaults_are_printed_so_that_they_are_read_as_they_are(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = MODELS[name]
    needed = {
        "choose_rows": ["set", "--keep", "0.5"],
        "prepare_source": ["--layout", "folder", "--root", "r", "--domain", "d", "--output", "o"],
        "remake_samples": ["set"],
        "score_dataset": ["set", "--model", "m"],
        "evaluate_reid": ["--model", "m", "--eval", "e"],
        "train_reid": ["--train", "t", "--output", "o"],
        "annotate": ["--source", "s", "--output", "o"],
        "make_toyworld": ["--output", "o"],
    }.get(name, ["--source", "s", "--output", "o"] if name.startswith("train_generator") else [])
    text = printed(model, needed, capsys)
    commented = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and ": " in line]
    names = {field.alias or key for key, field in model.model_fields.items()}
    defaults = [line for line in commented if line.partition(":")[0] in names]
    file = tmp_path / "job.yaml"
    file.write_text("\n".join([*text.splitlines(), *defaults]))
    assert parse_settings(model, ["--config", str(file)]) == parse_settings(model, needed)


def printed(model: type[BaseModel], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        parse_settings(model, [*arguments, "--print-config"])
    assert caught.value.code == 0
    return capsys.readouterr().out
