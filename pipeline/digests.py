"""Names computed from content: ids of samples and plans, seeds of draws, pseudonyms of persons."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def content_id(*parts: str | int) -> str:
    """BLAKE2b-128, hex, over length-prefixed parts: no two different lists of parts share their bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def content_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) from the same parts: signed 64-bit, so that every Parquet reader can hold it."""
    return int(content_id(*parts)[:16], 16) >> 1


def settings_sha256(settings: dict[str, Any]) -> str:
    """SHA-256, hex, of settings as canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_digest(name: str, settings: dict[str, Any], ids: Iterable[str]) -> str:
    """The id of a plan: what is done, with which settings, to which rows, in which order."""
    return content_id(name, settings_sha256(settings), *ids)


def subject_key(dataset_id: str, identity: str) -> str:
    """The pseudonymous key of a person, on every row that their pixels, pose or style went into."""
    return content_id("subject", dataset_id, identity)
