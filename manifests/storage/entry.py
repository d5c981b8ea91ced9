"""What a storage lists."""

from __future__ import annotations

import re
from typing import NamedTuple

TEMPORARY = re.compile(r"\.[^/]*\.tmp")
"""Name of a file that a writer has not finished."""


class Stat(NamedTuple):
    """How a file is: its size in bytes, and a text that is another as soon as the file is another."""

    size: int
    version: str


class Entry(NamedTuple):
    """A file: its path under the root, its size in bytes, when it was last written (seconds since 1970)."""

    path: str
    size: int
    modified: float
