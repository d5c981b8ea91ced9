"""Names that a user gives, looked for among those there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from manifests.common.command_line import meant
from manifests.errors import UserError


def check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse the first of ``names``, by the alphabet, that is none of the ``known``; ``what`` they are.

    Raises:
        UserError: there is one; the message says which was perhaps meant, and lists those that are known.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UserError(f"unknown {what} {unknown[0]!r}{meant(unknown[0], known)}; known: {', '.join(known)}")
