"""Names that a user gives, looked for among those there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from manifests.errors import UserError


def check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse the first of ``names``, by the alphabet, that is none of the ``known``; ``what`` they are.

    Raises:
        UserError: there is one; the message lists those that are known.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UserError(f"unknown {what} {unknown[0]!r}; known: {', '.join(known)}")
