"""Reads the files of a source data set: bytes once, digest, strict decode; each gives a row or a reject."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.common.pictures import MAX_BYTES, orientation
from manifests.detecting.embedded import says_generated
from manifests.format.names import file_name
from manifests.format.schema import REJECT_SCHEMA, SOURCE_SCHEMA
from pipeline.common import images
from pipeline.common.digests import content_id
from pipeline.common.progress import Progress
from pipeline.sources.files import Origin, SourceFile

STAGE = "prepare_source"
GENERATED = "generated"
"""Why an image that says of itself that it was generated is no row, unless such images are accepted."""
_UPRIGHT = (
    "EXIF orientation {}: other programs turn it, so that masks and poses of the stored picture would not fit; "
    "store it upright (exiftran -ai, or Pillow's ImageOps.exif_transpose)"
)


@dataclass(frozen=True)
class Provenance:
    """What every row of a source data set says of where it came from."""

    dataset_id: str
    domain: str
    licence: str | None
    consent_basis: str | None


def read_shard(
    root: Path,
    files: Iterable[SourceFile],
    provenance: Provenance,
    pool: ThreadPoolExecutor,
    progress: Progress,
    accept_generated: bool = False,
) -> tuple[pa.Table, pa.Table]:
    """Rows (`SOURCE_SCHEMA`) and rejects (`REJECT_SCHEMA`) of some files, in their order.

    Holds the encoded bytes of these files in memory, and one decoded image a thread.
    """

    def read(file: SourceFile) -> tuple[bool, dict[str, Any]]:
        result = _read(root, file, provenance, accept_generated)
        progress.advance()
        return result

    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    for accepted, record in pool.map(read, files):
        (rows if accepted else rejects).append(record)
    return (
        pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA),
        pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA),
    )


def _read(root: Path, file: SourceFile, provenance: Provenance, accept_generated: bool) -> tuple[bool, dict[str, Any]]:
    """(True, row) or (False, reject) of one file. Never raises for what a file holds."""
    if file.fault and not file.fault.readable:
        return False, _reject(file, provenance, None, file.fault.reason, file.fault.message)
    digest = None
    try:
        with (root / file.relative_path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        digest = images.sha256(data)
        if file.fault:
            return False, _reject(file, provenance, digest, file.fault.reason, file.fault.message)
        height, width = images.decode(data).shape[:2]
        if (turned := orientation(data)) != 1:
            raise images.ImageError("exif_orientation", _UPRIGHT.format(turned))
        if not accept_generated and says_generated(data):
            raise images.ImageError(GENERATED, "it says that it was generated")
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return False, _reject(file, provenance, digest, "unreadable_file", message)
    except images.ImageError as error:
        return False, _reject(file, provenance, digest, error.reason, str(error))
    origin = file.origin or Origin(None, None, None)
    return True, {
        "image_id": content_id(provenance.dataset_id, file.relative_path, digest),
        "image": {"bytes": data, "path": file_name(file.relative_path)},
        "image_sha256": digest,
        "width": width,
        "height": height,
        "identity": file.identity,
        "camera": file.camera,
        "sequence": file.sequence,
        "frame": file.frame,
        "domain": provenance.domain,
        "split": file.split,
        "role": file.role,
        "relative_path": file.relative_path,
        "dataset_id": origin.dataset_id or provenance.dataset_id,
        "licence": origin.licence or provenance.licence,
        "consent_basis": origin.consent_basis or provenance.consent_basis,
    }


def _reject(file: SourceFile, provenance: Provenance, digest: str | None, reason: str, message: str) -> dict[str, Any]:
    return {
        "item_id": content_id(provenance.dataset_id, file.relative_path, digest or ""),
        "stage": STAGE,
        "reason": reason,
        "message": message,
        "source_sha256": digest,
        "relative_path": file.relative_path,
    }
