"""Text of others inside Markdown: it stays text, whatever it says, and stays on its line."""

from __future__ import annotations

import re

from manifests.errors import one_line

_MEANING = re.compile(r"[\\`*\[\]<>&|~$]|(?<![^\W_])_|_(?![^\W_])")
"""What opens emphasis, code, links, tags, entities, table cells or formulas; an underscore does between words only."""
_AT_START = re.compile(r"^(?=[#+=-])|^[0-9]{1,9}(?=[.)])")
"""What would open a heading, a list or a rule."""


def quoted(text: str) -> str:
    """``text`` as Markdown shows it letter for letter (CommonMark 0.31, section 2.4; GitHub's tables and strikes)."""
    return _AT_START.sub(r"\g<0>\\", _MEANING.sub(r"\\\g<0>", one_line(text)))
