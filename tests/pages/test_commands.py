"""Every command that a page shows is one that its program takes, with the flags and files that are there today."""

from __future__ import annotations

import re

import pytest

from manifests.reading.dataset import Dataset
from manifests.reading.query import query, rows_where
from pipeline.generators.recipes import RECIPES
from tests.manifests.exports.export_rows import synthetic_dataset
from tests.pages.commands import JOBS, fault, job_model, lines_of
from tests.pages.markdown import DOCS, PAGES, ROOT, blocks, docstring_lines, inline_code

LANGUAGES = {"sh", "python", "text", "yaml", "toml", "{toctree}", "{eval-rst}"}
SCRIPTS = [path for folder in ("jobs", "examples") for path in sorted((ROOT / folder).glob("[a-z]*.py"))]
_COMMAND = re.compile(r"(python (jobs/|-m manifests )|reid-synth )")
_FOLDERS = ("jobs", "pipeline", "manifests", "tests", "docs", "benchmarks", "examples", "findings", ".ci")


def commands() -> list[tuple[str, str]]:
    """All command lines with their places: blocks of pages, what stands between words there, docstrings of scripts."""
    found = [
        (block.place, line)
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for line in lines_of(block.text)
    ]
    found += [
        (page.name, code) for page in PAGES for code in inline_code(page) if _COMMAND.match(code) and " --" in code
    ]
    found += [(str(path.relative_to(ROOT)), line) for path in SCRIPTS for line in docstring_lines(path)]
    return found


def test_every_block_says_what_it_is() -> None:
    unmarked = [block.place for page in PAGES for block in blocks(page) if block.language not in LANGUAGES]
    assert not unmarked


def test_every_command_is_understood() -> None:
    lines = commands()
    assert len(lines) > 60
    faults = [f"{place}: {line}\n    {said}" for place, line in lines if (said := fault(line)) is not None]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python jobs/train_reid.py --train a --output b", None),
        ("python jobs/train_reid.py --train a --output b --tripled-weight 1", "tripled"),
        ("python jobs/train_generator.py --recipe spgan --source a --output b --negative-pairs translated", None),
        ("python jobs/train_generator.py --recipe cgan --source a --output b --negative-pairs translated", "negative"),
        ("python jobs/train_everything.py", "there is no jobs/train_everything.py"),
        ("python -m manifests show", "URI is required"),
        ("python -m manifests export a --to parchment --output b", "parchment"),
        ("reid-synth synthesize duke-style --per-image 2", None),
        ("reid-synth synthesize duke-style --per-picture 2", "per-picture"),
        ("reid-synth synthesise duke-style", "no verb"),
        ("make demons", "the Makefile makes no demons"),
        ("ray job submit -- python jobs/annotate.py --source a", "output"),
        ("ray up ray_clutter.yaml", "there is no ray_clutter.yaml"),
    ],
)
def test_faults_are_found(line: str, said: str | None) -> None:
    found = fault(line)
    assert found is None if said is None else said in (found or "")


def known_flags() -> set[str]:
    """The flags of all jobs, recipes and commands."""
    models = [job_model(job, []) for job in JOBS] + [recipe.settings_model for recipe in RECIPES.values()]
    fields = {(field.alias or name, field.annotation) for model in models for name, field in model.model_fields.items()}
    flags = {"--" + name.replace("_", "-") for name, _ in fields} | {
        "--help",
        "--help-all",
        "--config",
        "--print-config",
    }
    flags |= {"--no-" + name.replace("_", "-") for name, kind in fields if kind is bool}
    for path in (ROOT / "manifests/commands").glob("*.py"):
        flags |= set(re.findall(r'"(--[a-z][a-z-]*)"', path.read_text(encoding="utf-8")))
    return flags


def test_every_flag_that_is_named_is_known() -> None:
    known = known_flags()
    named = {
        (page.name, flag)
        for page in PAGES
        for code in inline_code(page)
        if not code.startswith(("ray ", "pip "))  # their own
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)
    }
    assert len(named) > 50
    assert not sorted((page, flag) for page, flag in named if flag not in known)


def test_every_file_that_is_named_is_there() -> None:
    named = {
        (page.name, code)
        for page in PAGES
        for code in inline_code(page)
        if re.fullmatch(r"[\w./*-]+", code) and code.split("/")[0] in _FOLDERS and "NAME" not in code
    }
    assert len(named) > 20
    assert not sorted((page, path) for page, path in named if not list(ROOT.glob(path.rstrip("/"))))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return synthetic_dataset(str(tmp_path_factory.mktemp("asked") / "set"), sizes=(2,))


def test_every_question_is_answered(dataset: Dataset) -> None:
    """What pages ask by ``--where`` and ``--sql`` names columns that there are."""
    lines = [line for _, line in commands() if "manifests" in line or line.startswith("reid-synth")]
    asked = [re.findall(r'--(where|sql) "([^"]+)"', line) for line in lines]
    questions = [question for found in asked for question in found]
    assert len(questions) >= 3
    for kind, text in questions:
        assert (rows_where if kind == "where" else query)(dataset, text) is not None


def test_every_error_that_is_explained_is_said() -> None:
    """The first cell of the rows of docs/troubleshooting.md is what some program here really says."""
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    code = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for folder in ("manifests", "pipeline", "jobs")
        for path in (ROOT / folder).rglob("*.py")
    )
    assert len(lines) > 12
    assert not [line for line in lines if line not in code]
