#!/usr/bin/env bash
# Ray 2.60.0, Ray Train v2: a training on a Ray that was started without its dashboard warns every second until it ends.
#
# Behaviour: beside every training Ray Train starts a detached actor `PlacementGroupCleaner`, which asks the state API once
# a second whether the controller is alive. The state API is served by the dashboard. With
# `ray.init(include_dashboard=False)`, as tests and laptops start it, it never answers, and the actor writes "Failed to
# query Ray Train Controller actor state. State API may be temporarily unavailable. Continuing to monitor." each time. The
# training itself is not hurt; no variable and no setting of the trainer turns the actor off.
# Why it matters: an hour of training leaves 3,600 such lines between those of the training, and a cleaner that never
# learns of a dead controller never frees its placement group.
# Seen: with dashboard 0 warnings, without 18, in a training of 15 seconds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "ray[default,train]==2.60.0"
cd "$folder"
cat > train.py <<'PY'
import sys
import time

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


def train() -> None:
    time.sleep(15)


ray.init(num_cpus=3, include_dashboard=sys.argv[1] == "with")
run = RunConfig(storage_path=sys.argv[2])
DataParallelTrainer(train, scaling_config=ScalingConfig(num_workers=1), run_config=run).fit()
PY
for dashboard in with without; do
    RAY_USAGE_STATS_ENABLED=0 venv/bin/python train.py "$dashboard" "$folder/$dashboard" > "$dashboard.log" 2>&1
done
count() { grep -c "Failed to query Ray Train Controller actor state" "$1.log" || true; }
echo "with dashboard $(count with) warnings, without $(count without)"
test "$(count with)" -eq 0
test "$(count without)" -ge 10
