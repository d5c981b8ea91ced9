"""Claims, read: whether the signature in an image, or beside the list that names it, holds, and whose it is."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

from manifests.errors import first_line
from manifests.reading.runs import SOFTWARE
from manifests.signing.claims import SIDECAR, SUMS, listed
from manifests.signing.library import context, needs_extra

_EMBEDDED = b"c2pa.claim"
_ABOVE = 3
"""How many folders above a picture its list may lie: images/SPLIT of COCO have two."""
_GENERATED = ("trainedAlgorithmic", SOFTWARE)
"""Words of actions: C2PA's and IPTC's of what a trained model made, and who signs generated images alone."""


class Signature(NamedTuple):
    """What a signature says: whether it ``holds``, or what is ``wrong``; whose it is by its certificate; whether that
    leads to an authority that the caller trusts; whether it says that the image was generated; what it is ``about``, a
    sample id or the urn of a data set; where it was ``found``."""

    holds: bool
    wrong: str
    name: str
    trusted: bool
    generated: bool
    about: str | None
    found: str


def is_signed(data: bytes) -> bool:
    """Whether a file holds a C2PA claim, as far as can be told without the library."""
    return _EMBEDDED in data


@needs_extra
def signature_in(data: bytes, kind: str, trust: str | None = None) -> Signature | None:
    """The signature inside an image file of that MIME type; ``trust`` has the authorities' certificates as PEM."""
    return _read(data, kind, None, trust, "in the file")


@needs_extra
def signature_beside(picture: Path, data: bytes, trust: str | None = None) -> Signature | None:
    """The signature of the nearest list, in a folder above, that has the digest of ``data``; it does not hold for a
    picture that the list names with another one."""
    digest = hashlib.sha256(data).hexdigest()
    for folder in picture.absolute().parents[:_ABOVE]:
        sums, manifest = folder / SUMS, folder / (SUMS + SIDECAR)
        try:
            content, claim = sums.read_bytes(), manifest.read_bytes()
        except OSError:  # none is there, or none for us
            continue
        files = listed(content)
        changed = digest not in files
        if changed and picture.absolute().relative_to(folder).as_posix() not in files.values():
            continue
        signature = _read(content, "text/plain", claim, trust, f"of the list {sums}")
        if signature is not None and signature.holds and changed:
            return signature._replace(holds=False, wrong="the list has another file of this name: it was changed since")
        return signature
    return None


def _read(data: bytes, kind: str, manifest: bytes | None, trust: str | None, found: str) -> Signature | None:
    import c2pa

    settings = context(trust={"user_anchors": trust}) if trust else context()
    try:
        with c2pa.Reader(kind, io.BytesIO(data), manifest, context=settings) as reader:
            active, state = reader.get_active_manifest() or {}, reader.get_validation_state()
            failures = ((reader.get_validation_results() or {}).get("activeManifest") or {}).get("failure") or []
    except c2pa.C2paError as error:
        if str(error).startswith("ManifestNotFound"):
            return None
        return Signature(False, first_line(error), "nobody", False, False, None, found)
    wrong = sorted({one["code"] for one in failures} - {"signingCredential.untrusted"})
    said = {one["label"].partition("__")[0]: one.get("data") for one in active.get("assertions", ())}
    holds = state in ("Valid", "Trusted")
    return Signature(
        holds,
        "" if holds else ", ".join(wrong) or str(state),
        (active.get("signature_info") or {}).get("common_name") or "nobody",
        state == "Trusted",
        any(word in str(said.get("c2pa.actions.v2") or said.get("c2pa.actions")) for word in _GENERATED),
        _sample(said.get("cawg.metadata")),
        found,
    )


def _sample(facts: Any) -> str | None:
    return str(facts["dc:identifier"]) if isinstance(facts, dict) and "dc:identifier" in facts else None
