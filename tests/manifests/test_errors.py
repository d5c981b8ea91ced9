from __future__ import annotations

import pytest

from manifests.errors import first_line, one_line


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (ValueError("  no\n\n   such\tfile "), "no such file"),
        (ValueError(), "ValueError"),
        (ValueError(" \n"), "ValueError"),
        ("", ""),
        (OSError("clear\x1b[2J the screen"), "clear\N{REPLACEMENT CHARACTER}[2J the screen"),
    ],
)
def test_an_error_is_said_in_one_line(said: object, shown: str) -> None:
    assert one_line(said) == shown


def test_a_long_text_is_cut() -> None:
    assert one_line("many words", 6) == "many w"


@pytest.mark.parametrize("said", ["\n cannot \x07 do it \nbecause: a page of it", "cannot \x07 do it"])
def test_details_that_follow_the_first_line_are_left_out(said: str) -> None:
    assert first_line(RuntimeError(said)) == "cannot \N{REPLACEMENT CHARACTER} do it"


def test_who_says_nothing_is_named_by_type() -> None:
    assert first_line(RuntimeError("\n")) == "RuntimeError"
