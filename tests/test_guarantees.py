"""Every test that the page of guarantees names is there, so that no promise stands without what shows it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions(path: str) -> frozenset[str]:
    """Names of the test functions of a module, those of classes too, without importing it."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows() -> list[list[str]]:
    """Cells of the rows of all tables, heads left out."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[-1].strip() != "shown by" and not set(row[0]) <= set("- |")]


@pytest.mark.parametrize(("path", "name"), sorted(set(_TEST.findall(PAGE.read_text(encoding="utf-8")))))
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in functions(path)


def test_each_promise_names_a_test() -> None:
    promises = rows()
    assert len(promises) > 20
    for row in promises:
        assert len(row) == 3, row
        assert _TEST.findall(row[2]), f"nothing shows: {row[0]}"
        assert not _TEST.sub("", row[2]).replace(",", "").strip(), row[2]
