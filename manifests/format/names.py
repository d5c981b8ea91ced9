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
    return content_hash(*parts).hexdigest()


def content_hash(*parts: str | int) -> hashlib.blake2b:
    """The same before its last part: what `id_part` makes of more parts may be fed to it."""
    return hashlib.blake2b(b"".join(map(id_part, parts)), digest_size=16)


def id_part(part: str | int) -> bytes:
    """A part of a `content_id` as it is hashed: the length of its text in eight bytes, then the text."""
    data = str(part).encode()
    return len(data).to_bytes(8, "little") + data


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


def leads_out(path: str) -> bool:
    """Whether a file's path, relative with / or \\, may name something outside of its folder on some system."""
    parts = re.split(r"[/\\]", path)
    drive = re.match(r"[A-Za-z]:", path) is not None
    return drive or ".." in parts or not parts[0] or "://" in path or "\0" in path


def file_name(relative_path: str) -> str:
    """The bare name that an image keeps in its row: what other systems cannot have in a name becomes ``_``."""
    return re.sub(r"[\\:\0]", "_", relative_path.rpartition("/")[2])
