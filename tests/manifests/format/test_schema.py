from __future__ import annotations

import json

import pyarrow as pa
import pytest

from manifests.errors import UserError
from manifests.format.schema import (
    KIND_KEY,
    REJECT_SCHEMA,
    SCHEMAS,
    SOURCE_SCHEMA,
    SYNTHETIC_SCHEMA,
    check_version,
    conform,
)
from tests.manifests.manifest_rows import source_rows, synthetic_rows


@pytest.mark.parametrize("schema", [*SCHEMAS.values(), REJECT_SCHEMA])
def test_every_column_has_a_feature_and_no_integer_is_unsigned(schema: pa.Schema) -> None:
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert not any("uint" in str(field.type) for field in schema)


def test_conform_orders_casts_and_marks_a_table() -> None:
    rows = source_rows(3)
    wide = rows.set_column(3, "width", rows.column("width").cast(pa.int64()))
    assert wide.column_names == rows.column_names
    table = conform(wide.select(rows.column_names[::-1]).replace_schema_metadata(None), SOURCE_SCHEMA)
    assert table.schema.equals(SOURCE_SCHEMA, check_metadata=True)
    assert table.schema.metadata[KIND_KEY] == b"source"


def test_conform_fills_scores_that_were_not_computed() -> None:
    table = conform(synthetic_rows(0, 2), SYNTHETIC_SCHEMA)
    scores = table.column("quality").to_pylist()[0]
    assert scores["style_shift"] == pytest.approx(0.25, abs=0.02)
    assert scores["sharpness"] is None


def test_conform_names_what_does_not_fit() -> None:
    rows = source_rows(2)
    with pytest.raises(ValueError, match=r"missing \['width'\]"):
        conform(rows.drop_columns("width"), SOURCE_SCHEMA)
    with pytest.raises(ValueError, match=r"unknown \['colour'\]"):
        conform(rows.append_column("colour", pa.array(["red", "red"])), SOURCE_SCHEMA)
    column = rows.column_names.index("split")
    with pytest.raises(ValueError, match=r"null values in required columns: \['split'\]"):
        conform(rows.set_column(column, "split", pa.nulls(2, pa.string())), SOURCE_SCHEMA)


def test_conform_refuses_a_score_that_the_schema_does_not_know() -> None:
    rows = synthetic_rows(0, 1)
    unknown = pa.array([{"style_shift": 0.5, "glamour": 1.0}])
    with pytest.raises(ValueError, match="glamour"):
        conform(rows.set_column(rows.column_names.index("quality"), "quality", unknown), SYNTHETIC_SCHEMA)


def test_older_versions_are_read_and_newer_ones_refused_in_one_line() -> None:
    check_version("1.0", "here")
    check_version("1.7", "here")
    check_version("0.3", "here")
    with pytest.raises(UserError, match=r"^here has schema version 2\.0, .*install a newer reid-synth$"):
        check_version("2.0", "here")
    with pytest.raises(UserError, match="no schema version"):
        check_version("", "here")
