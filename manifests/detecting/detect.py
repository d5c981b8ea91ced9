"""Everything that is known of one picture file: marks, signatures, and the data sets in which it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from manifests.common.pictures import MAX_BYTES, PictureError, decode_picture, open_picture
from manifests.detecting.embedded import named_in, says_generated
from manifests.detecting.known import Known, Match
from manifests.errors import UserError
from manifests.signing.reading import Signature, is_signed, signature_beside, signature_in


@dataclass(frozen=True)
class Answer:
    """What was found of one picture. ``marks`` are what its metadata names where it says that it was generated;
    ``note`` is why a signature was not looked at."""

    picture: str
    marks: dict[str, str] | None
    signatures: tuple[Signature, ...]
    matches: tuple[Match, ...]
    note: str = ""

    @property
    def generated(self) -> bool:
        """Whether anything says that it was generated; without, nothing is known of it."""
        signed = any(one.holds and one.generated for one in self.signatures)
        return self.marks is not None or signed or bool(self.matches)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        signatures = [one._asdict() for one in self.signatures]
        matches = [one._asdict() for one in self.matches]
        return {
            **{"picture": self.picture, "generated": self.generated, "marks": self.marks},
            **{"signatures": signatures, "matches": matches, "note": self.note or None},
        }

    def to_text(self) -> str:
        """For people: a line that says it, and one for each piece of evidence."""
        head = f"{self.picture}: {'generated' if self.generated else 'not known'}"
        return "\n".join([head, *(f"  {line}" for line in self._lines())])

    def _lines(self) -> Iterator[str]:
        if self.marks is not None:
            named = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.marks.items())
            yield f"marks: its metadata says that it was generated{': ' + named if named else ''} (not signed)"
        for one in self.signatures:
            trust = (
                "by an authority that you trust" if one.trusted else "by an authority that was not checked (--trust)"
            )
            about = f", about {one.about}" if one.about else ""
            verdict = f"holds, certified {trust}{about}" if one.holds else f"does not hold: {one.wrong}"
            yield f"signature {one.found}, by {one.name}: {verdict}"
        for match in self.matches:
            yield f"{_HOW[match.by].format(match.difference)} {match.row['sample_id']} in {match.dataset}"
            yield f"  recipe {match.row['recipe']} {match.row['recipe_version']}, plan {match.row['plan_id'][:12]}"
            for source in match.row["sources"]:
                yield f"  made from {source['sha256'][:12]} ({source['role']}) of {source['dataset_id']}"
        if self.note:
            yield f"note: {self.note}"


_HOW = {
    "bytes": "the file of sample",
    "pixels": "the pixels of sample",
    "similar": "a copy (difference {} of 255) of sample",
    "sample_id": "its metadata names sample",
}


def detect(picture: str, known: Sequence[Known] = (), trust: str | None = None) -> Answer:
    """What is to be found of the picture file at ``picture``, with the data sets ``known`` and, for signatures, the
    certificates of authorities in ``trust`` (PEM).

    A data set is asked for the file, then for its pixels, then for a copy; what the metadata names is looked up where
    none of these is found.

    Raises:
        UserError: the file cannot be read, or is no picture.
    """
    data = _read(picture)
    try:
        with open_picture(data) as opened:
            kind = Image.MIME.get(opened.format or "", "")
        pixels = decode_picture(data)
    except PictureError as error:
        raise UserError(f"{picture} is no picture that can be read: {error}") from None
    marks = named_in(data) if says_generated(data) else None
    matches = [one.find(data, pixels) for one in known]
    if marks and "sample_id" in marks and not any(matches):
        matches = [one.sample(marks["sample_id"]) for one in known]
    signatures, note = _signatures(Path(picture), data, kind, trust)
    return Answer(picture, marks, signatures, tuple(one for one in matches if one is not None), note)


def _read(picture: str) -> bytes:
    try:
        with Path(picture).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{picture} cannot be read: {error.strerror}") from None


def _signatures(picture: Path, data: bytes, kind: str, trust: str | None) -> tuple[tuple[Signature, ...], str]:
    try:
        found = signature_in(data, kind, trust) if is_signed(data) else None
        beside = signature_beside(picture, data, trust)
    except UserError as error:  # the extra is missing
        return (), f"it is signed, which was not checked: {error}"
    return tuple(one for one in (found, beside) if one is not None), ""
