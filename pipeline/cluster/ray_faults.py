"""What Ray says of a worker that was lost, in one line."""

from __future__ import annotations

from manifests.errors import one_line

_LONGEST = 300


def cause_of(error: BaseException) -> str:
    """Why Ray's ``error`` came about, without ids and stack: ``RayActorError: The actor died because its node ...``."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line[0].isspace()]
    # The first line of an actor's death says that it died, the indented ones which it was, the last ones why.
    told = lines[1:] if len(lines) > 1 and "before finishing this task" in lines[0] else lines[:1]
    text = one_line(" ".join(told)) or "no message"
    return f"{type(error).__name__}: {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"
