"""Claims, signed: one inside an image file, or one beside a list of digests that stands for a whole export.

A claim says how its asset came to be (action ``c2pa.created`` with IPTC's or C2PA's digital source type) and of what
it is, in the terms of XMP (assertion ``cawg.metadata``), so that no vocabulary of our own has to be known.

C2PA, "Technical Specification", version 2.2: on claims, on embedding in JPEG, PNG and WebP, on manifests that stand
beside their asset, on digital source types. Two signatures of one thing differ: both have a name of their
own, and signatures on curves are made with a random number.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from manifests.errors import UserError, first_line
from manifests.format.schema import TRAINED_ALGORITHMIC_MEDIA, source_type_uri
from manifests.reading.runs import SOFTWARE
from manifests.signing.certificate import Certificate
from manifests.signing.library import context, needs_extra

SUMS = "SHA256SUMS"
SIDECAR = ".c2pa"
GENERATED_DATA = "http://c2pa.org/digitalsourcetype/trainedAlgorithmicData"
"""C2PA's word for data, not media, that a trained model made: what a list of generated images stands for."""
_SPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_FORMATS = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp"}
_ANY = "application/octet-stream"


class Signer:
    """Signs with one certificate: a list of all files of an export, and with ``each`` every image too.

    ``time_authority`` is the http address of one that stamps the list's signature (RFC 3161), so that it holds when the
    certificate is over; images are not stamped, each would ask it.

    Raises:
        UserError: the library does not take the certificate (it is self-signed, or for another use) or is missing, or
            the authority does not answer.
    """

    @needs_extra
    def __init__(self, certificate: Certificate, each: bool = False, time_authority: str | None = None) -> None:
        import c2pa

        self.name, self.each = certificate.name, each
        self._generator = {"name": SOFTWARE, "version": _version()}
        self._context = context()
        # What it raises is no public type of the library's but its common base.
        self._error = c2pa.C2paError
        self._authority = time_authority
        own = certificate.algorithm, certificate.chain, certificate.key
        try:
            self._plain = c2pa.Signer.from_info(c2pa.C2paSignerInfo(*own, None))
            self._stamped = c2pa.Signer.from_info(c2pa.C2paSignerInfo(*own, time_authority))
        except self._error as error:
            raise self._refused(error) from None
        self._sign(b"trial", _ANY, GENERATED_DATA, {}, embed=False)

    def image(self, data: bytes, source_type: str, facts: Mapping[str, Any]) -> bytes:
        """The JPEG, PNG or WebP file ``data`` with a claim inside that says of which of
        `manifests.format.schema.SOURCE_TYPES` it is, and ``facts`` (terms of XMP, with prefix)."""
        return self._sign(data, _FORMATS[data[:2]], source_type_uri(source_type), facts, embed=True)

    def beside(self, data: bytes, source_type: str, facts: Mapping[str, Any]) -> bytes:
        """A manifest that stands beside a file of the bytes ``data``, of whatever format, which stands for images of
        that type."""
        trained = source_type == TRAINED_ALGORITHMIC_MEDIA
        said = GENERATED_DATA if trained else source_type_uri(source_type)
        return self._sign(data, _ANY, said, facts, embed=False)

    def _sign(self, data: bytes, kind: str, source_type: str, facts: Mapping[str, Any], embed: bool) -> bytes:
        import c2pa

        created = {"action": "c2pa.created", "digitalSourceType": source_type, "softwareAgent": self._generator}
        said = {"label": "cawg.metadata", "kind": "Json", "data": {"@context": _SPACES, **facts}}
        claim = {
            "claim_generator_info": [self._generator],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}, *([said] if facts else [])],
        }
        signed = io.BytesIO()
        try:
            builder = c2pa.Builder(claim, context=self._context)
            if not embed:
                builder.set_no_embed()
            signer = self._plain if embed else self._stamped
            manifest: bytes = builder.sign(signer, kind, io.BytesIO(data), signed)
        except self._error as error:
            raise self._refused(error) from None
        return signed.getvalue() if embed else manifest

    def _refused(self, error: Exception) -> UserError:
        said = first_line(error)
        if self._authority is not None and ("http" in said or "time stamp" in said):
            return UserError(f"the time authority {self._authority} gives no stamp: {said}")
        return UserError(
            f"the certificate cannot sign: {said}; C2PA asks for X.509 v3 from an authority, for the key usage "
            "digitalSignature and an extended one as emailProtection (docs/marks.md makes one)"
        )


def sign_folder(signer: Signer, folder: Path, source_type: str, facts: Mapping[str, Any]) -> None:
    """Write `SUMS`, the digests of all files of ``folder`` as `sha256sum -c` takes them, and its manifest beside it,
    which says of which type the images are."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    sums = "".join(lines).encode()
    (folder / SUMS).write_bytes(sums)
    (folder / (SUMS + SIDECAR)).write_bytes(signer.beside(sums, source_type, facts))


def listed(sums: bytes) -> dict[str, str]:
    """What such a list says: digest -> path."""
    pairs = (line.split("  ", 1) for line in sums.decode(errors="replace").splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def facts_of(identifier: str, recipes: Sequence[str], plans: Sequence[str], source_type: str) -> dict[str, Any]:
    """What a claim says of images: which they are, of which type, by which recipes and plans they were made."""
    by = "Iptc4xmpExt:AISystemUsed" if source_type == TRAINED_ALGORITHMIC_MEDIA else "xmp:CreatorTool"
    return {
        "dc:identifier": identifier,
        "dcterms:isPartOf": [f"urn:{SOFTWARE}:plan:{plan}" for plan in plans],
        "Iptc4xmpExt:DigitalSourceType": source_type_uri(source_type),
        by: f"{SOFTWARE}, recipe {', '.join(recipes)}",
    }


def _version() -> str:
    try:
        return version(SOFTWARE)
    except PackageNotFoundError:  # run from its source
        return "0"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
