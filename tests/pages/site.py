"""The pages as a site: built once for all tests, in this process, for torch is imported here already."""

from __future__ import annotations

import io
import warnings
from html.parser import HTMLParser
from pathlib import Path

from tests.pages.markdown import DOCS


def build(folder: Path) -> str:
    """Build the site below ``folder``; what Sphinx warns of."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said = io.StringIO()
    with warnings.catch_warnings(), patch_docutils(DOCS), docutils_namespace():
        warnings.simplefilter("ignore")  # of Sphinx to those who extend it
        app = Sphinx(
            DOCS, DOCS, folder, folder / ".doctrees", "html", status=None, warning=said, freshenv=True, parallel=1
        )
        app.build()
    return said.getvalue()


class Page(HTMLParser):
    """What a built page links to, and the names that can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.names.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)
