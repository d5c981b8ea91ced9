"""Annotation rows of strangers: masks that are none or of another size, keypoints that are no numbers or too few."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from manifests.format.schema import ANNOTATION_SCHEMA
from manifests.reading.dataset import open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.run import DatasetRun
from pipeline.annotation.annotations import Annotations
from pipeline.common.images import encode_mask
from tests.fuzz.mutations import mutated_bytes
from tests.fuzz.target import REFUSALS, Reader, Target
from tests.manifests.manifest_rows import annotation_rows, sha

_number = itertools.count()
_WHOLE = {"x": 1.0, "y": 2.0, "score": 0.5}
_SIZES = st.sampled_from((16, 8, 1, 0, -1, 3, 2**31 - 1))


def set_up() -> Reader:
    """Rows like ours in which any value may be wrong."""
    masks = [encode_mask(np.tri(height, width, dtype=np.bool_)) for height, width in ((16, 8), (8, 16), (300, 2))]
    point = st.fixed_dictionaries({name: st.floats(width=32) | st.just(value) for name, value in _WHOLE.items()})
    points = st.one_of(
        st.none(), st.just([_WHOLE] * 17), st.lists(point, max_size=18), st.just([{**_WHOLE, "x": None}] * 17)
    )
    changes = st.fixed_dictionaries(
        {},
        optional={
            "mask": st.none() | st.just(b"") | mutated_bytes(*masks),
            "mask_quality": st.none() | st.floats(width=32),
            "keypoints": points,
            "height": _SIZES,
            "width": _SIZES,
            "image_id": st.sampled_from(("", "0" * 32)),
        },
    )
    return Reader(st.lists(changes, min_size=1, max_size=3), read)


def read(changes: list[dict[str, Any]]) -> None:
    """Write the rows, then use them as a synthesis does."""
    rows = annotation_rows(len(changes)).to_pylist()
    rows = [{**row, **change} for row, change in zip(rows, changes, strict=True)]
    uri = f"memory://annotations/{next(_number)}"
    try:
        run = DatasetRun.start(uri, "annotation", "plan", {0: len(rows)})
        run.sink.commit(0, pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA))
        run.close()
        known = Annotations(open_dataset(uri))
    except REFUSALS:
        return
    finally:
        _forget(uri)
    for number in range(len(rows)):
        _use(known, number)


def _use(known: Annotations, number: int) -> None:
    try:
        found = known.get(sha(f"image {number}"))
    except REFUSALS:
        return
    assert found is not None
    if found.mask is not None:
        assert found.mask.shape == found.size, "a mask of another size than its image"
    if found.keypoints is not None:
        assert found.keypoints.shape == (17, 3), f"{len(found.keypoints)} keypoints"
        assert np.isfinite(found.keypoints_at(64, 32)).all(), "keypoints that are no numbers"


def _forget(uri: str) -> None:
    storage = open_storage(uri)
    for entry in storage.list():
        storage.delete(entry.path)


TARGETS = {"annotation rows": Target(1, set_up)}
