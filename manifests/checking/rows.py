"""What must hold of each row: pictures, labels, provenance, names, places."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.checking.faults import Report
from manifests.checking.terms import RecordedTerms
from manifests.common.pictures import PictureError, decode_picture, open_picture, orientation_of
from manifests.format.annotation_values import check_mask_quality, check_places, read_keypoints, read_mask
from manifests.format.names import file_name, leads_out
from manifests.format.schema import (
    ALGORITHMIC_MEDIA,
    ANY_RECIPES,
    LABEL_RULES,
    NOISE_RECIPES,
    PROBABILITIES,
    REQUIRED,
    ROLES,
    ROW_ID,
    SOURCE_TYPES,
    SPLITS,
    Kind,
)
from manifests.format.soft_labels import NO_LABEL, ClassMap

LABEL_TOLERANCE = 1e-6
FLAT_SPAN = 4
"""Greatest spread of a channel, in levels, in a picture that passes for one colour: more than rounding and JPEG make of
one, less than the noise of a camera or anything drawn."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROW_NAME = re.compile(r"[0-9a-f]{32}")
# The formats whose decoded pixels are the generator's own.
_LOSSLESS = ("PNG",)

Row = dict[str, Any]
Finding = tuple[str, str]
"""A check's name and what is wrong."""


@dataclass(frozen=True)
class RowContext:
    """What the rows of one file are checked against."""

    kind: Kind
    file: str
    classes: ClassMap | None
    plans: tuple[str, ...] | None
    """Ids of the plans that may have made the rows; None where that is not known."""
    pool: Executor
    terms: RecordedTerms


def check_rows(batch: pa.RecordBatch, context: RowContext, report: Report) -> None:
    """Check every row of ``batch``; pictures are decoded in parallel by the context's pool."""
    rows: list[Row] = batch.to_pylist()
    names = [str(row[ROW_ID[context.kind]]) for row in rows]
    checks: tuple[Callable[[Row], Iterable[Finding]], ...] = {
        "source": (_check_required("source"), _check_places, _check_source),
        "annotation": (_check_required("annotation"), _check_annotation),
        "synthetic": (
            _check_required("synthetic"),
            _check_places,
            lambda row: _check_label(row, context.classes),
            lambda row: _check_provenance(row, context.plans),
            context.terms.check,
        ),
    }[context.kind]
    spread = context.pool.map if len(rows) > 1 else map  # one row would only be waited for
    decoded = spread(lambda row: _findings(_check_pictures, row), rows)
    for name, row, pictures in zip(names, rows, decoded, strict=True):
        if not _ROW_NAME.fullmatch(name):
            report.add("name", context.file, "its id is not 32 hexadecimal digits", name)
        for finding in (*pictures, *(one for check in checks for one in _findings(check, row))):
            report.add(finding[0], context.file, finding[1], name)


def _findings(check: Callable[[Row], Iterable[Finding]], row: Row) -> list[Finding]:
    """What ``check`` finds; a value that it cannot even look at is a finding too."""
    try:
        return list(check(row))
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        return [("malformed", f"a value has no sense: {error!r}")]


def _check_required(kind: str) -> Callable[[Row], Iterator[Finding]]:
    required = sorted(REQUIRED[kind])

    def check(row: Row) -> Iterator[Finding]:
        for name in required:
            if row[name] is None:
                yield "null", f"{name} is null"

    return check


def _check_pictures(row: Row) -> list[Finding]:
    """Picture and mask decode whole, and are what the row says of them."""
    findings: list[Finding] = []
    size = (row["width"], row["height"])
    if "image" in row:
        findings += _check_image(row, size)
    if row.get("mask") is not None:
        findings += _fault("mask", lambda: read_mask(row["mask"], row["height"], row["width"]))
    if row.get("keypoints") is not None:
        findings += _fault("keypoints", lambda: _read_joints(row))
    return findings


def _read_joints(row: Row) -> None:
    points = read_keypoints(row["keypoints"])
    if "image" not in row:  # joints that were asked for may lie anywhere; those of annotations were found in a picture
        check_places(points, row["height"], row["width"])


def _fault(name: str, read: Callable[[], object]) -> list[Finding]:
    """What the strict reader of a value says against it."""
    try:
        read()
    except ValueError as error:
        return [(name, str(error))]
    return []


def _check_image(row: Row, size: tuple[int, int]) -> Iterator[Finding]:
    image = row["image"] or {}
    path, data = image.get("path"), image.get("bytes")
    if path is not None and (not path or path in (".", "..") or path != file_name(path)):
        yield "path", f"image.path {path!r} is not a bare file name"
    if not data:
        yield "image", "the row has no picture"
        return
    if hashlib.sha256(data).hexdigest() != row["image_sha256"]:
        yield "image", "the picture's SHA-256 is not image_sha256"
    try:
        picture, opened = decode_picture(data), open_picture(data)
    except PictureError as error:
        yield "image", f"the picture does not decode: {error}"
        return
    if _is_flat(picture):
        yield "flat", "the whole picture is of one colour, or nearly"
    if (turned := orientation_of(opened, data)) != 1:
        yield "orientation", f"EXIF orientation {turned}: other programs turn it, and masks and poses of it do not fit"
    if picture.shape[1::-1] != size:
        yield "size", f"the picture is {picture.shape[1::-1]}, the row says {size}"
    digest = row.get("pixel_sha256")
    if digest is not None and opened.format in _LOSSLESS and digest != _pixel_sha256(picture):
        yield "image", "the pixels' SHA-256 is not pixel_sha256"


def _is_flat(picture: NDArray[np.uint8]) -> bool:
    """Whether no colour channel spans more than `FLAT_SPAN` levels; transparency does not count."""
    # A row of pixels at a time: both axes in one step take twenty times as long.
    highest, lowest = picture.max(axis=0).max(axis=0), picture.min(axis=0).min(axis=0)
    return bool((highest - lowest <= FLAT_SPAN).all())


def _pixel_sha256(picture: NDArray[np.uint8]) -> str:
    """SHA-256 over height and width (little-endian int64) and the RGB bytes, row by row."""
    size = np.array(picture.shape[:2], dtype="<i8").tobytes()
    return hashlib.sha256(size + picture.tobytes()).hexdigest()


def _check_places(row: Row) -> Iterator[Finding]:
    for name in ("camera", "sequence", "frame"):
        if (row.get(name) or 0) < 0:
            yield "place", f"{name} {row[name]} is no number of one"


def _check_source(row: Row) -> Iterator[Finding]:
    yield from _one_of(row, "split", SPLITS)
    yield from _one_of(row, "role", ROLES)
    if row["role"] == "junk" and row["identity"] is not None:
        yield "identity", f"junk has no identity, the row says {row['identity']!r}"
    if leads_out(path := row["relative_path"] or ""):
        yield "path", f"relative_path {path!r} leads out of the source"


def _check_annotation(row: Row) -> Iterator[Finding]:
    for made, digest in (("mask", "segmenter_sha256"), ("keypoints", "pose_sha256")):
        if row[made] is not None and not _SHA256.fullmatch(row[digest] or ""):
            yield "provenance", f"{made} without the digest of the model that made it ({digest})"
    yield from _fault("quality", lambda: check_mask_quality(row["mask_quality"]))


def _check_label(row: Row, classes: ClassMap | None) -> Iterator[Finding]:
    """The label is a distribution over the data set's classes, and its rule's."""
    yield from _one_of(row, "label_rule", LABEL_RULES)
    entries, rest, count, hard = (row[name] for name in ("soft_label", "soft_label_rest", "num_classes", "hard_label"))
    if any(value is None for value in (entries, rest, count, hard)):
        return
    index = [entry["idx"] for entry in entries]
    values = np.array([entry["val"] for entry in entries], np.float64)
    if classes is not None and count != len(classes):
        yield "classes", f"num_classes {count}, the class map has {len(classes)}"
    if classes is not None and row["identity"] is not None and hard != classes.number(row["identity"]):
        yield "label", f"hard_label {hard} is not the class of identity {row['identity']!r}"
    if row["identity"] is None and hard != NO_LABEL:
        yield "label", f"hard_label {hard} without an identity"
    if not NO_LABEL <= hard < count:
        yield "label", f"hard_label {hard} is outside of {count} classes"
    if len(set(index)) != len(index) or any(not 0 <= number < count for number in index):
        yield "label", f"soft_label lists a class twice or outside of {count} classes"
    total = float(values.sum() + rest * (count - len(index)))
    if not abs(total - 1.0) <= LABEL_TOLERANCE or rest < 0 or (values < 0).any():
        yield "label", f"the soft label sums to {total:.7g}, or holds a negative value"
    yield from _check_rule(row["label_rule"], row["label_epsilon"], index, rest, count, hard)


def _check_rule(
    rule: str, epsilon: float | None, index: list[int], rest: float, count: int, hard: int
) -> Iterator[Finding]:
    """The label is the one that its rule gives; with the sum checked, the listed classes and the rest decide."""
    if rule == "lsr" and epsilon is None:
        yield "label", "rule lsr without its epsilon"
    listed = {"one_hot": [hard], "lsr": [hard], "lsro": []}.get(rule)
    if listed is not None and index != listed:
        yield "label", f"rule {rule} lists classes {index[:3]} instead of {listed}"
    expected = {"one_hot": 0.0, "lsr": (epsilon or 0.0) / count, "lsro": 1.0 / count}.get(rule)
    if expected is not None and abs(rest - expected) > LABEL_TOLERANCE:
        yield "label", f"rule {rule} gives the other classes {expected:.7g}, the row has {rest:.7g}"


def _check_provenance(row: Row, plans: tuple[str, ...] | None) -> Iterator[Finding]:
    """Every image can be traced: sources, people, recipe, settings, models, plan."""
    sources = row["sources"] or []
    if not sources and row["identity"] is not None:
        yield "provenance", "an identity without the source images it comes from"
    drawn = row["digital_source_type"] == ALGORITHMIC_MEDIA
    made_of_any = drawn or row["recipe"] in ANY_RECIPES
    if not made_of_any and bool(sources) == (row["recipe"] in NOISE_RECIPES):
        yield "provenance", f"{len(sources)} source images, by recipe {row['recipe']!r}"
    if not sources and row["subject_keys"]:
        yield "provenance", "keys of people without the source images that show them"
    if any(not _SHA256.fullmatch(source["sha256"] or "") or not source["role"] for source in sources):
        yield "provenance", "a source without a SHA-256 or a role"
    if sources and not (row["subject_keys"] and all(row["subject_keys"])):
        yield "provenance", "source images without the keys of the people on them"
    for name in ("recipe", "recipe_version"):
        if not row[name] or not row[name].isprintable():
            yield "provenance", f"{name} {row[name]!r} is no name"
    if not _SHA256.fullmatch(row["settings_sha256"] or ""):
        yield "provenance", "settings_sha256 is no SHA-256"
    checkpoints = row["checkpoint_sha256s"] or [""]
    if not all(_SHA256.fullmatch(digest or "") for digest in checkpoints):
        yield "provenance", "checkpoint_sha256s is empty or holds no SHA-256"
    if plans is not None and row["plan_id"] not in plans:
        yield "provenance", f"plan_id {row['plan_id']!r} is not that of its commit record"
    if row["digital_source_type"] not in SOURCE_TYPES:
        yield "provenance", f"digital_source_type {row['digital_source_type']!r} does not say it is synthetic"
    if not _SHA256.fullmatch(row["pixel_sha256"] or ""):
        yield "provenance", "pixel_sha256 is no SHA-256"
    yield from _check_scores(row["quality"] or {})
    yield from _one_of(row, "split", SPLITS)


def _check_scores(scores: Mapping[str, float | None]) -> Iterator[Finding]:
    """Training weighs and chooses rows by them."""
    for name, score in scores.items():
        if score is not None and not np.isfinite(score):
            yield "quality", f"{name} is {score}"
        elif score is not None and name in PROBABILITIES and not 0 <= score <= 1:
            yield "quality", f"{name} is {score:g}, a probability lies in [0, 1]"


def _one_of(row: Row, name: str, allowed: tuple[str, ...]) -> Iterator[Finding]:
    if row[name] not in allowed:
        yield name, f"{name} {row[name]!r} is none of {', '.join(allowed)}"
