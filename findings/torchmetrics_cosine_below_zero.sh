#!/usr/bin/env bash
# torchmetrics 1.9.0: images of the right person whose similarity is 0 or less vanish from mAP, which rises by it.
#
# Behaviour: `RetrievalMAP`, `RetrievalMRR`, `RetrievalRecall` and `RetrievalPrecision` call every image irrelevant whose score is
# not above 0, before they rank. Its place in the ranking stays, but average precision is taken over the relevant images that are
# left: the worst misses are not counted. Hit rate, R-precision, nDCG and AUROC of the same scores rank all of them. The
# class's page asks for a float tensor, no more. Adding a constant, which changes no ranking, changes the figures; negated
# distances, all below 0, give 0.
# Why it matters: ReID ranks by cosine similarity, and hard images of the right person (another camera, from behind) are the ones
# below 0. A worse network that pushes them there gets the better mAP.
# Seen: scores 0.9 0.5 0.2 -0.1 -0.3, of which the first and the fourth are the right person. As cosines, as (cosine + 1) / 2, as
#       cosine - 1: mAP 1.0 0.75 0.0, recall 0.5 1.0 0.0, R-precision 0.5 0.5 0.5, nDCG 0.877 0.877 0.877
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" torchmetrics==1.9.0 torch==2.15.0 numpy==2.4.6
cd "$folder"
cat > rank.py <<'PY'
import torch
import torchmetrics
from torchmetrics import retrieval

cosines = torch.tensor([0.9, 0.5, 0.2, -0.1, -0.3])
right = torch.tensor([True, False, False, True, False])
query = torch.zeros(5, dtype=torch.long)


def figures(name: str) -> list[float]:
    metric = getattr(retrieval, name)
    return [
        round(float(metric()(scores, right, indexes=query)), 3) for scores in (cosines, (cosines + 1) / 2, cosines - 1)
    ]


found = {name: figures(f"Retrieval{name}") for name in ("MAP", "Recall", "RPrecision", "NormalizedDCG")}
print("torchmetrics", torchmetrics.__version__, found)
assert found == {
    "MAP": [1.0, 0.75, 0.0],
    "Recall": [0.5, 1.0, 0.0],
    "RPrecision": [0.5, 0.5, 0.5],
    "NormalizedDCG": [0.877, 0.877, 0.877],
}
PY
venv/bin/python rank.py 2> errors.log || { cat errors.log >&2; exit 1; }
