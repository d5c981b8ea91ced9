"""Files that appear whole or not at all: written beside their place, and moved there when they lie on the disk."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to: what lies there takes the place of ``path`` when the block ends well, and is
    gone when it does not. Several writers of one ``path`` never mix; the last one stays."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, which appears whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
