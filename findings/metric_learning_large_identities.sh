#!/usr/bin/env bash
# pytorch-metric-learning 2.9.0: people whose numbers are above 16,777,216 are taken for one another when they are measured.
#
# Behaviour: `AccuracyCalculator.get_accuracy` turns labels into float32, as it does embeddings. That holds whole numbers up to
# 2**24 only: 20000000 and 20000001 become one person, from 10**9 on 64 neighbouring numbers do. No message says so, and the
# documentation asks for no more than a tensor of labels. Losses and miners compare the labels as they are, so that training is right
# and the figures alone are wrong, precision never downwards.
# Why it matters: people of several sets are kept apart by a large number in front (100000000 times the set and so on), tracks are
# numbered by day and time. Neighbouring numbers are people of one place and hour, whom a network mixes up first: just those
# mistakes are counted as right.
# Seen: 64 people, each mistaken for its neighbour, so that precision at 1 is 0.0: from number 0: 0.0, from 20000000: 0.5, from
#       1000000000: 0.97
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    pytorch-metric-learning==2.9.0 faiss-cpu==1.15.1 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
cd "$folder"
cat > measure.py <<'PY'
import pytorch_metric_learning
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

PEOPLE = torch.arange(64)


def precision_at_1(first_number: int) -> float:
    """Of 64 queries, each of which is nearest to the image of the person with the next (or the last) number."""
    queries, gallery = torch.eye(64), torch.eye(64)[PEOPLE ^ 1]
    labels = first_number + PEOPLE
    assert labels.unique().numel() == 64
    calculator = AccuracyCalculator(include=("precision_at_1",), k=1)
    return round(calculator.get_accuracy(queries, labels, gallery, labels)["precision_at_1"], 2)


found = {first: precision_at_1(first) for first in (0, 20_000_000, 1_000_000_000)}
print("pytorch-metric-learning", pytorch_metric_learning.__version__, found)
assert found == {0: 0.0, 20_000_000: 0.5, 1_000_000_000: 0.97}
PY
venv/bin/python measure.py 2> errors.log || { cat errors.log >&2; exit 1; }
