"""One attempt at a run: what ends it before it is closed is said in the run's record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from manifests.common.stopping import GO_ON, Stopped, keeping
from manifests.errors import UserError
from manifests.writing.run import DatasetRun


@contextmanager
def attempt(run: DatasetRun, shards: int) -> Iterator[None]:
    """Work on ``run`` of so many ``shards`` inside; committed shards stay, however it ends.

    Raises:
        UserError: as it came, after the run was marked failed.
        Stopped: a signal came; says how many shards are kept. The run is marked failed by it.
    """

    def kept() -> str:
        return f"{shards - len(run.pending())} of {shards} shards of {run.uri} are kept; {GO_ON}"

    try:
        with keeping(kept):
            yield
    except UserError as error:
        run.fail(str(error))
        raise
    except Stopped as stop:
        with suppress(UserError):  # the storage may be what it was stopped for
            run.fail(str(stop).partition(";")[0])
        raise
