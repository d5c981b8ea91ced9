#!/usr/bin/env bash
# usearch 2.26.6: of an embedding of 64 bytes only the first 8 count, and an exact search of bytes finds the first rows.
#
# Behaviour: numpy's uint8 is to usearch's Python a row of packed bits. `Index(ndim=64).add` takes 64 bytes without a word, reads
# 64 dimensions out of the bits of the first 8, and drops the rest; an index of dtype "u8", the type of such bytes, does so too.
# Only `dtype="u8"` in `add` and `search`, beside the one of the index, helps. int8 needs nothing. The function `search(...,
# exact=True)` compares bytes by L2 or cosine to nothing: rows 0, 1, 2 and so on at distance nan for each query; with int16 as well.
# Why it matters: embeddings in 256 steps are what a gallery is stored as to be small, colour histograms and thumbnails for the search
# of copies are bytes anyway. Ranks stay plausible, for the 8 bytes know much: a few people are lost, with no sign of why.
# Seen: 200 rows of 64 bytes, each sought with noise of 3 steps; found as float32 and int8 (half the steps) 1.0, as uint8 0.925, and
#       with dtype="u8" in each call 1.0. Rows that share the first 8 bytes only: distance 0.0. Exact: row 0 for all, at nan
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" usearch==2.26.6 numpy==2.4.6
cd "$folder"
cat > seek.py <<'PY'
import numpy as np
import usearch
from usearch.index import Index, MetricKind, search

ROWS, DIMENSIONS = 200, 64
draws = np.random.default_rng(0)
gallery = draws.integers(0, 256, (ROWS, DIMENSIONS)).astype(np.uint8)
queries = np.clip(gallery + draws.integers(-3, 4, gallery.shape), 0, 255).astype(np.uint8)
others = draws.integers(0, 256, gallery.shape).astype(np.uint8)
others[:, :8] = gallery[:, :8]


def found(rows: np.ndarray, sought: np.ndarray, **call: str) -> tuple[float, float]:
    """The share of queries whose nearest row is their own, and the largest of the distances."""
    index = Index(ndim=DIMENSIONS, metric="l2sq", dtype=str(call.pop("kept", "f32")))
    index.add(np.arange(ROWS), rows, **call)
    matches = index.search(sought, 1, **call)
    return float((matches.keys[:, 0] == np.arange(ROWS)).mean()), float(matches.distances.max())


def halved(rows: np.ndarray) -> np.ndarray:
    return (rows // 2).astype(np.int8)


exact = search(gallery, queries, 1, MetricKind.L2sq, exact=True)
shares = {
    "float32": found(gallery.astype(np.float32), queries.astype(np.float32))[0],
    "int8": found(halved(gallery), halved(queries))[0],
    "uint8": found(gallery, queries)[0],
    "uint8 in an index of u8": found(gallery, queries, kept="u8")[0],
    "uint8, dtype in each call": found(gallery, queries, kept="u8", dtype="u8")[0],
    "others": found(gallery, others),
    "exact": (set(exact.keys[:, 0].tolist()), bool(np.isnan(exact.distances).all())),
}
print("usearch", usearch.__version__, shares)
assert list(shares.values()) == [1.0, 1.0, 0.925, 0.925, 1.0, (1.0, 0.0), ({0}, True)]
PY
venv/bin/python seek.py 2> errors.log || { cat errors.log >&2; exit 1; }
