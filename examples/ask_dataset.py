"""Ask a data set questions: lazily by polars, in SQL, row by row, and its soft labels as dense rows.

    python examples/ask_dataset.py --data runs/demo/dataset

No question here reads a picture, but for the last: a column that is not named is not read.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from manifests import expand, open_dataset, query, rows_where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="runs/demo/dataset")
    options = parser.parse_args()

    data = open_dataset(options.data)  # as it was closed last; a run that goes on meanwhile does not show
    print(f"{data.uri}: {data.snapshot.rows} {data.kind} rows in {len(data.files())} files")
    print("planned, written, rejected:", data.snapshot.counts)

    rows = data.scan()  # a lazy frame
    print(rows.group_by("camera").agg(pl.len(), pl.col("identity").n_unique()).sort("camera").collect())

    print(query(data, "SELECT recipe, label_rule, COUNT(*) AS rows FROM data GROUP BY ALL ORDER BY ALL"))

    chosen = rows_where(data, "camera = 1 AND quality.style_shift > 0.3")
    print(f"{len(chosen)} rows by camera 1 with a large shift of style: numbers {chosen[:5].tolist()} ...")

    dense = expand(data.read(["soft_label", "soft_label_rest", "num_classes"]))  # float32 (rows, classes)
    entropy = -(dense * np.log(np.maximum(dense, 1e-30))).sum(axis=1)
    assert data.classes is not None  # synthetic rows always have them
    surest = int(entropy.argmin())
    person = data.classes.identities[int(dense[surest].argmax())]
    print(f"soft labels {dense.shape}, mean entropy {entropy.mean():.3f} nats; the surest row says {person}")

    (first,) = data.scan().head(1).collect().to_dicts()
    print(f"row {first['sample_id']}: {len(first['image']['bytes'])} bytes, made of {first['sources']}")


if __name__ == "__main__":
    main()
