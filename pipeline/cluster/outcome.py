"""What a job says at its end where nothing came out of it."""

from __future__ import annotations

from manifests.errors import UserError
from manifests.reading.dataset import Dataset


def check_outcome(dataset: Dataset, items: str) -> None:
    """Refuse to call it a success that every one of the planned ``items`` (a plural) was rejected.

    The data set stays as it is, closed and without rows: its rejects say why.

    Raises:
        UserError: all were rejected, now or by the run that is taken up here.
    """
    snapshot = dataset.snapshot
    if not snapshot.planned or snapshot.rejected < snapshot.planned:
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in snapshot.reasons.items())
    raise UserError(
        f"all {snapshot.planned} {items} were rejected ({reasons}): {dataset.uri} holds no row, its rejects tell "
        "why of each; mend the cause, then write to another --output"
    )
