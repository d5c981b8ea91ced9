"""Names: ids of things and pseudonymous keys of people, computed from content; the cards of models."""

from __future__ import annotations

import hashlib
import re

GENERATOR_CARD, REID_CARD = "generator.json", "reid.json"
"""What trainings leave in the folder of their weights."""
_NUMBER = re.compile(r"0*([0-9]{1,18})(?:\.0+)?")
_WIDTHS = range(1, 19)


def content_id(*parts: str | int) -> str:
    """BLAKE2b-128, hex, over length-prefixed parts: no two different lists of parts share their bytes.

    Example:
        >>> from manifests import content_id
        >>> content_id("market", 7) == content_id("market", 7), content_id("ab", "c") == content_id("a", "bc")
        (True, False)
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def subject_key(dataset_id: str, identity: str) -> str:
    """The pseudonymous key of a person, on every row that their pixels, pose or style went into.

    A name that `qualified_name` made gives the key of the name it was made from, so merging changes no key.
    """
    return content_id("subject", dataset_id, bare_name(dataset_id, identity))


def qualified_name(dataset_id: str, identity: str) -> str:
    """``identity`` with the data set that it is a name in, for where two data sets have people of one name."""
    return f"{dataset_id}:{bare_name(dataset_id, identity)}"


def bare_name(dataset_id: str, identity: str) -> str:
    """``identity`` as ``dataset_id`` itself names the person."""
    return identity.removeprefix(f"{dataset_id}:")


def person_number(identity: str) -> int | None:
    """The number that a person is called by, however it is written: 7 for ``7``, ``0007`` and ``7.0``; None for a
    name that is no number."""
    found = _NUMBER.fullmatch(identity)
    return int(found[1]) if found else None


def spellings(identity: str) -> frozenset[str]:
    """How tools may write the person whom somebody calls ``identity``: a number with any zeros before it, for some
    pad numbers and some do not; any other name only as it is.

    Example:
        >>> from manifests.format.names import spellings
        >>> {"7", "0007"} <= spellings("7.0"), spellings("anna")
        (True, frozenset({'anna'}))
    """
    number = person_number(identity)
    return frozenset({identity} if number is None else {identity, *(f"{number:0{width}d}" for width in _WIDTHS)})
