"""The pages as their parts: blocks of code, code between words, links, headings."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


class Block(NamedTuple):
    """A fenced block: the page and line that it begins at, what it says of itself, its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in its order."""
    return [
        Block(page, token.map[0] + 1 if token.map else 0, token.info.strip(), token.content)
        for token in _tokens(page)
        if token.type == "fence"
    ]


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


def inline_code(page: Path) -> list[str]:
    """What stands between backticks in running text and tables."""
    return [" ".join(token.content.split()) for token in _inline(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Where links and pictures lead, as written."""
    names = {"link_open": "href", "image": "src"}
    return [str(token.attrs[names[token.type]]) for token in _inline(page) if token.type in names]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and the site make them; a second of the same name has ``-1``."""
    tokens = _tokens(page)
    heads = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "heading_open"]
    seen: Counter[str] = Counter()
    found = set()
    for head in heads:
        text = "".join(part.content for part in head.children or () if part.type in ("text", "code_inline"))
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def docstring_lines(script: Path) -> list[str]:
    """The lines of a script's docstring that say how it is called."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if re.match(r"\s*python (jobs|examples)/\w+\.py", line)]
