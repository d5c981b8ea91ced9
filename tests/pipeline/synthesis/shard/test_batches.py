"""What becomes of a batch whose rows are rejected on the way."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.common.images import ImageError
from pipeline.synthesis.row_inputs import View
from pipeline.synthesis.shard.batches import Batch


def test_what_is_rejected_leaves_every_column() -> None:
    plan = pa.table({"sample_id": ["a", "b", "c", "d"]})
    views = [View({"sample_id": name}) for name in ("a", "c", "d")]  # b was rejected before
    numbers = np.array([0, 2, 3])
    batch = Batch(plan, views, numbers.tolist(), [], {"seed": numbers})
    batch.images = np.ones((3, 4, 4, 3), np.uint8) * numbers[:, None, None, None].astype(np.uint8)
    batch.labels = {"hard_label": pa.array(numbers)}
    batch.found = np.ones((3, 17, 3), np.float32) * numbers[:, None, None].astype(np.float32)
    batch.drop({1: ImageError("low_quality", "too grey")}, "score")
    assert batch.rows.column("sample_id").to_pylist() == ["a", "d"]
    assert [view.plan["sample_id"] for view in batch.views] == ["a", "d"]
    left = batch.columns["seed"], batch.images[:, 0, 0, 0], batch.found[:, 0, 0], batch.labels["hard_label"]
    assert [np.asarray(one).tolist() for one in left] == [[0, 3]] * 4
    assert [(row["item_id"], row["stage"], row["reason"]) for row in batch.rejects] == [("c", "score", "low_quality")]
