"""The Arrow schemas of every kind of data set, with the metadata that lets other tools open them.

Each schema carries three metadata entries: ``reid_synth.kind``, ``reid_synth.schema_version`` and
``huggingface``. The last makes ``datasets.load_dataset("parquet", ...)`` show images as pictures. All Arrow
fields are nullable, since that reader takes a field's feature only then; `REQUIRED` says which may not be null.

On a synthetic row ``sources`` names each image that went in by its role: ``content`` (whose person is shown) or
``pose`` (whose pose was asked for), and ``subject_keys`` the people on them. A row made from noise alone (all of
`NOISE_RECIPES`, some of `ANY_RECIPES`) has no source image: it shows nobody, so both are empty, its identity is null
and its hard label -1.
Its generator did learn from people. They stand on the generator's card and not on every row, and whoever erases a
person from such rows goes by ``checkpoint_sha256s``: the generator has to be trained again without them.

Its ``digital_source_type`` is one of `SOURCE_TYPES`; before version 1.7 rows of recipes without a network were said to
be made by a trained model, too.

Its ``licence`` and ``consent_basis`` are those of all that went in, put together by `manifests.format.terms`. They are
null on rows that were made before version 1.3.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, get_args

import pyarrow as pa

from manifests.common.json_text import json_text
from manifests.errors import UserError

SCHEMA_VERSION = "1.7"
Kind = Literal["source", "annotation", "synthetic"]
KINDS: tuple[Kind, ...] = get_args(Kind)

KIND_KEY = b"reid_synth.kind"
VERSION_KEY = b"reid_synth.schema_version"

SPLITS = ("train", "query", "gallery")
ROLES = ("person", "distractor", "junk")
LabelRule = Literal["one_hot", "lsr", "lsro", "teacher", "mprl"]
LABEL_RULES: tuple[LabelRule, ...] = get_args(LabelRule)
NEEDS_TEACHER: frozenset[LabelRule] = frozenset({"teacher", "mprl"})
"""Label rules that ask a ReID classifier whom an image resembles."""
NOISE_RECIPES = ("gan_lsro", "cgan")
"""Recipes whose images are made from no image."""
ANY_RECIPES = ("personflow",)
"""Recipes whose images are made from an image or from none; rows of all but these and `NOISE_RECIPES` must name theirs.
"""
TRAINED_ALGORITHMIC_MEDIA = "trainedAlgorithmicMedia"
"""IPTC digital source type of an image made by a trained model."""
ALGORITHMIC_MEDIA = "algorithmicMedia"
"""The same of an image that a program drew which learned from no image: the toy world's, with or without a source."""
COMPOSITE = "composite"
"""The same of an image put together from parts of others, any of which may itself be generated or not."""
ALGORITHMICALLY_ENHANCED = "algorithmicallyEnhanced"
"""The same of an image that a program altered without changing what it shows: its colours."""
SOURCE_TYPES = {
    TRAINED_ALGORITHMIC_MEDIA: "made by a trained model",
    ALGORITHMIC_MEDIA: "drawn by a program",
    COMPOSITE: "put together from parts of images",
    ALGORITHMICALLY_ENHANCED: "in other colours than the image it was made from",
}
"""What a synthetic row may say that its image is, in words; first what is furthest from a camera's."""
SOURCE_TYPE_KEY = "reid_synth.digital_source_type"
"""In footers of shards: the one of all their rows."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
POSE = pa.list_(pa.struct([("x", pa.float32()), ("y", pa.float32()), ("score", pa.float32())]))
SOFT_LABEL = pa.list_(pa.struct([("idx", pa.int32()), ("val", pa.float32())]))
SOURCES = pa.list_(pa.struct([("sha256", pa.string()), ("role", pa.string()), ("dataset_id", pa.string())]))
TARGET = pa.struct([("camera", pa.int32()), ("domain", pa.string()), ("pose", pa.string())])
QUALITY_SCORES = (
    "foreground_change",
    "foreground_fidelity",
    "background_change",
    "style_shift",
    "identity_similarity",
    "identity_rank",
    "identity_margin",
    "identity_entropy",
    "reliability",
    "plausibility",
    "pose_error",
    "sharpness",
    "target_confidence",
    "uniqueness",
    "repeats",
)
"""Scores a row may carry (null where not computed); what each measures is written where it is computed."""
PROBABILITIES = ("reliability", "plausibility", "target_confidence")
"""Those of them that are probabilities."""
MAP_PLACE = ("map_x", "map_y")
"""Beside the scores, where a row stands on the map of its data set, in [0, 1] each."""
OF_THE_SET = ("uniqueness", "repeats", *MAP_PLACE)
"""What is said of a row beside the others of its data set: among others it is another."""
QUALITY = pa.struct([(name, pa.float32()) for name in (*QUALITY_SCORES, *MAP_PLACE)])

REQUIRED: dict[str, frozenset[str]] = {}
"""Columns that are never null, by kind (``reject`` included)."""

_Field = tuple[str, pa.DataType, bool]


def _required(name: str, kind: pa.DataType) -> _Field:
    return name, kind, False


def _optional(name: str, kind: pa.DataType) -> _Field:
    return name, kind, True


def _schema(kind: str, fields: Iterable[_Field]) -> pa.Schema:
    fields = tuple(fields)
    REQUIRED[kind] = frozenset(name for name, _, nullable in fields if not nullable)
    schema = pa.schema([pa.field(name, type_) for name, type_, _ in fields])
    features = {field.name: _feature(field.type) for field in schema}
    return schema.with_metadata(
        {
            KIND_KEY: kind.encode(),
            VERSION_KEY: SCHEMA_VERSION.encode(),
            b"huggingface": json_text({"info": {"features": features}}).encode(),
        }
    )


def _feature(type_: pa.DataType) -> dict[str, Any]:
    """The Hugging Face feature of an Arrow type, as its JSON form."""
    if type_ == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(type_):
        return {"feature": _feature(type_.value_type), "_type": "List"}
    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    names = {"float": "float32", "double": "float64"}
    return {"dtype": names.get(str(type_), str(type_)), "_type": "Value"}


SOURCE_SCHEMA = _schema(
    "source",
    [
        _required("image_id", pa.string()),
        _required("image", IMAGE),
        _required("image_sha256", pa.string()),
        _required("width", pa.int32()),
        _required("height", pa.int32()),
        _optional("identity", pa.string()),
        _optional("camera", pa.int32()),
        _optional("sequence", pa.int32()),
        _optional("frame", pa.int64()),
        _optional("domain", pa.string()),
        _required("split", pa.string()),
        _required("role", pa.string()),
        _required("relative_path", pa.string()),
        _required("dataset_id", pa.string()),
        _optional("licence", pa.string()),
        _optional("consent_basis", pa.string()),
    ],
)

ANNOTATION_SCHEMA = _schema(
    "annotation",
    [
        _required("image_id", pa.string()),
        _required("image_sha256", pa.string()),
        _required("width", pa.int32()),
        _required("height", pa.int32()),
        _optional("mask", pa.binary()),
        _optional("mask_quality", pa.float32()),
        _optional("segmenter", pa.string()),
        _optional("segmenter_sha256", pa.string()),
        _optional("keypoints", POSE),
        _optional("pose_model", pa.string()),
        _optional("pose_sha256", pa.string()),
    ],
)

SYNTHETIC_SCHEMA = _schema(
    "synthetic",
    [
        _required("sample_id", pa.string()),
        _required("image", IMAGE),
        _required("image_sha256", pa.string()),
        _required("pixel_sha256", pa.string()),
        _required("width", pa.int32()),
        _required("height", pa.int32()),
        _optional("identity", pa.string()),
        _required("hard_label", pa.int32()),
        _required("num_classes", pa.int32()),
        _optional("camera", pa.int32()),
        _optional("domain", pa.string()),
        _required("split", pa.string()),
        _required("soft_label", SOFT_LABEL),
        _required("soft_label_rest", pa.float32()),
        _required("label_rule", pa.string()),
        _optional("label_epsilon", pa.float32()),
        _required("subject_keys", pa.list_(pa.string())),
        _required("sources", SOURCES),
        _required("recipe", pa.string()),
        _required("recipe_version", pa.string()),
        _required("settings_sha256", pa.string()),
        _required("seed", pa.int64()),
        _required("draw", pa.int32()),
        _required("plan_id", pa.string()),
        _required("checkpoint_sha256s", pa.list_(pa.string())),
        _optional("target", TARGET),
        _optional("mask", pa.binary()),
        _optional("keypoints", POSE),
        _optional("quality", QUALITY),
        _required("digital_source_type", pa.string()),
        _optional("licence", pa.string()),
        _optional("consent_basis", pa.string()),
    ],
)

_SCORES_SINCE = {
    "1.2": ("identity_rank", "identity_margin", "identity_entropy", "reliability"),
    "1.4": ("target_confidence",),
    "1.5": ("plausibility",),
    "1.6": OF_THE_SET,
}
"""Scores by the version that brought them; all others have always been there."""
ADDED_COLUMNS = ("licence", "consent_basis")
"""Columns of synthetic rows that files from before version 1.3 do not have."""


def _numbers(version: str) -> tuple[int, ...]:
    found = re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,6})", version)
    return tuple(map(int, found.groups())) if found else ()


def _before(version: str) -> pa.Schema:
    """The synthetic schema of the last version before ``version``."""
    kept = [field for field in SYNTHETIC_SCHEMA if _numbers(version) > (1, 3) or field.name not in ADDED_COLUMNS]
    later = (scores for since, scores in _SCORES_SINCE.items() if _numbers(since) >= _numbers(version))
    unknown = {score for scores in later for score in scores}
    types = {"quality": pa.struct([score for score in QUALITY if score.name not in unknown])}
    required = REQUIRED["synthetic"]
    return _schema("synthetic", [(one.name, types.get(one.name, one.type), one.name not in required) for one in kept])


_SYNTHETIC_BEFORE = {
    **dict.fromkeys(("1.0", "1.1"), _before("1.2")),
    "1.2": _before("1.3"),
    "1.3": _before("1.4"),
    "1.4": _before("1.5"),
    "1.5": _before("1.6"),
}

REJECT_SCHEMA = _schema(
    "reject",
    [
        _required("item_id", pa.string()),
        _required("stage", pa.string()),
        _required("reason", pa.string()),
        _optional("message", pa.string()),
        _optional("source_sha256", pa.string()),
        _optional("relative_path", pa.string()),
    ],
)

SCHEMAS: dict[Kind, pa.Schema] = {
    "source": SOURCE_SCHEMA,
    "annotation": ANNOTATION_SCHEMA,
    "synthetic": SYNTHETIC_SCHEMA,
}
ROW_ID: dict[Kind, str] = {"source": "image_id", "annotation": "image_id", "synthetic": "sample_id"}
"""The column that names a row of each kind."""
ROW_KEY: dict[Kind, tuple[str, ...]] = {
    "source": ("image_id",),
    "annotation": ("image_id", "segmenter_sha256", "pose_sha256"),
    "synthetic": ("sample_id",),
}
"""What is unique in a data set: an image may be annotated by several models."""


def source_type_uri(term: str) -> str:
    """One of `SOURCE_TYPES` as IPTC's vocabulary writes it: in footers of shards and in image files."""
    return f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"


def source_type_of_all(terms: Collection[str]) -> str:
    """What images of all these ``terms`` are said to be together: what is furthest from a camera's."""
    return next((one for one in SOURCE_TYPES if one in terms), TRAINED_ALGORITHMIC_MEDIA)


def check_version(version: str, where: str) -> None:
    """Refuse what a newer major version of this package wrote; older and equal ones are read.

    Raises:
        UserError: ``version`` is of a newer major version, or no version at all.
    """
    numbers, ours = _numbers(version), _numbers(SCHEMA_VERSION)
    if not numbers:
        raise UserError(f"{where} gives no schema version ({version[:40]!r}): not a data set of ours")
    if numbers[0] > ours[0]:
        known = f"this reader knows {ours[0]}.x"
        raise UserError(f"{where} has schema version {version}, {known}: install a newer reid-synth")


def is_newer(version: str) -> bool:
    """Whether ``version`` is a newer one, which may know more than this one does."""
    return _numbers(version) > _numbers(SCHEMA_VERSION)


def as_written(schema: pa.Schema, version: str) -> pa.Schema:
    """What ``schema`` was in ``version``, equal or older: fewer scores before 1.2, 1.4, 1.5 and 1.6, no terms
    before 1.3."""
    return _SYNTHETIC_BEFORE.get(version, schema) if schema is SYNTHETIC_SCHEMA else schema


def same_columns(kind: Kind, version: str) -> bool:
    """Whether shards that ``version`` wrote have the columns that this version writes."""
    schema = SCHEMAS[kind]
    return bool(as_written(schema, version).equals(schema))


def completed(rows: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """``rows`` of a file with all columns of its kind, or with ``columns``, and with every score.

    What an older version did not know is null; what it called reliability, before 1.5, is plausibility. The metadata of
    ``rows`` says what kind they are of.
    """
    if (rows.schema.metadata or {}).get(KIND_KEY) != b"synthetic":
        return rows
    wanted = SYNTHETIC_SCHEMA.names if columns is None else list(columns)
    for name in ADDED_COLUMNS:
        if name in wanted and name not in rows.schema.names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, SYNTHETIC_SCHEMA.field(name).type))
    place = rows.schema.get_field_index("quality")
    if place >= 0 and rows.schema.field(place).type != QUALITY:
        rows = rows.set_column(place, pa.field("quality", QUALITY), _named_as_today(rows.column(place)).cast(QUALITY))
    return rows.select(wanted)


def _named_as_today(scores: pa.ChunkedArray) -> pa.ChunkedArray:
    """``scores`` of any version: before 1.5, plausibility was called reliability."""
    if scores.type.get_field_index("plausibility") >= 0:
        return scores
    today = [one.with_name("plausibility") if one.name == "reliability" else one for one in scores.type]
    parts = [
        pa.StructArray.from_arrays(
            [part.field(place) for place in range(len(today))], fields=today, mask=part.is_null()
        )
        for part in scores.chunks
    ]
    return pa.chunked_array(parts, pa.struct(today))


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """``rows`` with exactly the columns, order, types and metadata of ``schema``.

    Raises:
        ValueError: a column is missing or unknown, a value does not fit its type, or a required one is null.
    """
    missing = [name for name in schema.names if name not in rows.schema.names]
    unknown = [name for name in rows.schema.names if name not in schema.names]
    if missing or unknown:
        raise ValueError(f"columns differ from the schema: missing {missing}, unknown {unknown}")
    for field in schema:
        # Arrow's cast drops a struct's unknown fields without a word.
        lost = _struct_fields(rows.schema.field(field.name).type) - _struct_fields(field.type)
        if lost:
            raise ValueError(f"column {field.name} has unknown fields: {sorted(lost)}")
    table = rows.select(schema.names).cast(schema)
    required = REQUIRED[(schema.metadata or {})[KIND_KEY].decode()]
    holes = [name for name in schema.names if name in required and table.column(name).null_count]
    if holes:
        raise ValueError(f"null values in required columns: {holes}")
    return table


def _struct_fields(type_: pa.DataType) -> set[str]:
    inner = type_.value_type if pa.types.is_list(type_) else type_
    return {field.name for field in inner} if pa.types.is_struct(inner) else set()
