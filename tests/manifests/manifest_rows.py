"""Small valid rows of every kind, made from a seed: what the tests of manifests write and then break."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from manifests.format.names import subject_key
from manifests.format.schema import ANNOTATION_SCHEMA, REJECT_SCHEMA, SOURCE_SCHEMA, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap, lsr

PLAN_ID = "ab" * 32
CLASSES = ClassMap.of(["0002", "0007", "0011"])
FOOTER = {ClassMap.FOOTER_KEY: CLASSES.to_json()}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def name(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def picture(seed: int, width: int = 8, height: int = 16, image_format: str = "PNG") -> tuple[bytes, np.ndarray]:
    """Encoded bytes and the ``(height, width, 3)`` uint8 pixels that were encoded."""
    pixels = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (height, width, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, image_format)
    return stream.getvalue(), pixels


def mask(width: int = 8, height: int = 16) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.tri(height, width, dtype=bool)).save(stream, "PNG")
    return stream.getvalue()


def synthetic_rows(shard: int, count: int, plan_id: str = PLAN_ID, variant: int = 0) -> pa.Table:
    """``count`` rows of one shard, sorted; ``variant`` changes bytes but not names, as a rival's float noise would."""
    rows = [_synthetic_row(shard, index, plan_id, variant) for index in range(count)]
    rows.sort(key=lambda row: (row["identity"], row["sample_id"]))
    labels = lsr([row.pop("hard_label") for row in rows], len(CLASSES), 0.1)
    table = pa.Table.from_pylist(rows, schema=_without(SYNTHETIC_SCHEMA, labels))
    return pa.table({**labels, **{column: table.column(column) for column in table.column_names}})


def _synthetic_row(shard: int, index: int, plan_id: str, variant: int) -> dict[str, Any]:
    data, pixels = picture(1000 * shard + index)
    identity = sorted(CLASSES.named)[index % len(CLASSES)]
    size = np.array(pixels.shape[:2], "<i8").tobytes()
    return {
        "sample_id": name(f"{plan_id} {shard} {index}"),
        "image": {"bytes": data, "path": f"{shard}_{index}.png"},
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "pixel_sha256": hashlib.sha256(size + pixels.tobytes()).hexdigest(),
        "width": 8,
        "height": 16,
        "identity": identity,
        "hard_label": CLASSES.number(identity),
        "camera": index % 2 + 1,
        "domain": "duke-like",
        "split": "train",
        "subject_keys": [subject_key("market-like", identity)],
        "sources": [{"sha256": sha(f"source {index}"), "role": "content", "dataset_id": "market-like"}],
        "recipe": "ptgan",
        "recipe_version": "1",
        "settings_sha256": sha("settings"),
        "seed": 7,
        "draw": 0,
        "plan_id": plan_id,
        "checkpoint_sha256s": [sha("generator")],
        "target": {"camera": 3, "domain": "duke-like"},
        "mask": mask() if index % 2 else None,
        "keypoints": [{"x": 1.0, "y": 2.0, "score": 0.5}] * 17 if index % 2 else None,
        "quality": {"style_shift": 0.25 + index / 100 + variant / 1000},
        "digital_source_type": "trainedAlgorithmicMedia",
        "licence": "Apache-2.0",
        "consent_basis": "drawn by a program; shows nobody",
    }


def source_rows(count: int) -> pa.Table:
    rows = []
    for index in range(count):
        data, _ = picture(index, image_format="JPEG")
        role = ("person", "person", "distractor", "junk")[index % 4]
        rows.append(
            {
                "image_id": name(f"source {index}"),
                "image": {"bytes": data, "path": f"{index:04d}.jpg"},
                "image_sha256": hashlib.sha256(data).hexdigest(),
                "width": 8,
                "height": 16,
                "identity": f"{index:04d}" if role == "person" else None,
                "camera": index % 6 + 1,
                "sequence": 1,
                "frame": index,
                "domain": "market-like",
                "split": "train" if role == "person" else "gallery",
                "role": role,
                "relative_path": f"bounding_box_train/{index:04d}.jpg",
                "dataset_id": "toyworld",
                "licence": "Apache-2.0",
                "consent_basis": None,
            }
        )
    return pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA)


def annotation_rows(count: int, segmenter: str = "sam_tiny") -> pa.Table:
    rows = [
        {
            "image_id": name(f"source {index}"),
            "image_sha256": sha(f"image {index}"),
            "width": 8,
            "height": 16,
            "mask": mask(),
            "mask_quality": 0.9,
            "segmenter": segmenter,
            "segmenter_sha256": sha(segmenter),
            "keypoints": [{"x": 1.0, "y": 2.0, "score": 0.5}] * 17,
            "pose_model": "pose_tiny",
            "pose_sha256": sha("pose"),
        }
        for index in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA)


def reject_rows(count: int, reason: str = "corrupt") -> pa.Table:
    rows = [{"item_id": name(f"reject {index}"), "stage": "generate", "reason": reason} for index in range(count)]
    return pa.Table.from_pylist(rows, schema=REJECT_SCHEMA)


def _without(schema: pa.Schema, columns: dict[str, Any]) -> pa.Schema:
    return pa.schema([field for field in schema if field.name not in columns])
