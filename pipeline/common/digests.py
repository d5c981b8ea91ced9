"""Names computed from content: ids of samples and plans, seeds of draws. Readers' are in `manifests.format.names`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from manifests.common.json_text import json_text
from manifests.format.names import content_hash, content_id, id_part, subject_key

__all__ = ["content_hash", "content_id", "content_seed", "id_part", "plan_digest", "settings_sha256", "subject_key"]


def content_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) from the same parts: signed 64-bit, so that every Parquet reader can hold it."""
    return int(content_id(*parts)[:16], 16) >> 1


def settings_sha256(settings: dict[str, Any]) -> str:
    """SHA-256, hex, of settings as canonical JSON."""
    return hashlib.sha256(json_text(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_digest(name: str, settings: dict[str, Any], ids: Iterable[str]) -> str:
    """The id of a plan: what is done, with which settings, to which rows, in which order."""
    return content_id(name, settings_sha256(settings), *ids)
