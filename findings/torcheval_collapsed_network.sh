#!/usr/bin/env bash
# torcheval 0.0.7 (torch 2.15.0): a network that gives every image the same embedding, or NaN, has a perfect hit rate.
#
# Behaviour: `hit_rate` and `reciprocal_rank` count the scores that are larger than that of the right image; none is where all are
# equal, so the right image is the first, and comparisons with NaN are false as well. `multiclass_accuracy` from k = 2 on does the
# same, at k = 1 it takes the first class. `retrieval_precision` and torchmetrics 1.9.0 (`RetrievalHitRate`, `RetrievalMRR`) rank
# equal scores by some order. No message, and neither page speaks of ties.
# Why it matters: that all images fall onto one point is how a triplet loss fails, and NaN is how half precision does. The best
# checkpoint is chosen by such figures, so the dead network is kept, with 1.0. A few equal scores, as float16 has them, lift
# a living one a little.
# Seen: 4 queries of 10 images, the right one in places 9, 5, 3, 7 (from 0). All scores equal: hit rate at 1 1.0, reciprocal rank 1.0,
#       accuracy at 1 and 2 0.0 and 1.0; NaN: 1.0 1.0 0.0 1.0; the right image last: 0.0 0.1 0.0 0.0; torchmetrics, all equal: 0.0 0.48
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" torcheval==0.0.7 torchmetrics==1.9.0 torch==2.15.0 numpy
cd "$folder"
cat > rank.py <<'PY'
import torch
from torcheval.metrics.functional import hit_rate, multiclass_accuracy, reciprocal_rank
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_reciprocal_rank

RIGHT = torch.tensor([9, 5, 3, 7])


def figures(scores: torch.Tensor) -> list[float]:
    """Hit rate at 1, mean reciprocal rank, accuracy at 1 and at 2."""
    tops = [multiclass_accuracy(scores, RIGHT, k=k) for k in (1, 2)]
    means = [hit_rate(scores, RIGHT, k=1).mean(), reciprocal_rank(scores, RIGHT).mean()]
    return [round(float(value), 3) for value in means + tops]


equal = torch.ones(4, 10)
worst = equal.clone()
worst[torch.arange(4), RIGHT] = 0
relevant = torch.nn.functional.one_hot(RIGHT, 10).bool()
other = [
    round(sum(float(figure(row, hit, **top)) for row, hit in zip(equal, relevant, strict=True)) / 4, 3)
    for figure, top in ((retrieval_hit_rate, {"top_k": 1}), (retrieval_reciprocal_rank, {}))
]
found = {
    "equal": figures(equal),
    "NaN": figures(equal * float("nan")),
    "worst": figures(worst),
    "torchmetrics, equal": other,
}
print("torcheval", found)
assert found["equal"] == found["NaN"] == [1.0, 1.0, 0.0, 1.0]
assert found["worst"] == [0.0, 0.1, 0.0, 0.0]
assert max(found["torchmetrics, equal"]) < 0.5
PY
venv/bin/python rank.py 2> errors.log || { cat errors.log >&2; exit 1; }
