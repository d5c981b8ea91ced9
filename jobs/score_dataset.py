"""Scores a synthetic data set by a ReID model: how far each row's identity can be believed, whether the row reached the
camera, domain or pose that was asked for, how good the set is.

python jobs/score_dataset.py runs/demo/dataset --model runs/reid --output runs/demo/scored

The rows are written anew with their scores; the data set that was given stays. Sources and annotations are those that
its run record names. A scoring that was stopped is taken up again by the same command.
"""

from __future__ import annotations

import sys
from typing import Any

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.common.devices import Device, Threads, check_device, use_threads
from pipeline.common.settings import Output, Positional, run_job
from pipeline.reid.model import load_reid
from pipeline.scoring.dataset import ScoreSettings, open_scoring, score
from pipeline.scoring.set_scores import doubts_of_scores


class Settings(ScoreSettings):
    """Score the rows of a synthetic data set and the set as a whole."""

    group = "input"
    dataset: Positional[str] = Field(description="URI of the synthetic data set")
    model: str = Field(description="ReID model: a file, or the output folder of jobs/train_reid.py")
    source: list[str] = Field([], description="URIs of the source manifests; by default those that the run names")
    annotations: list[str] = Field([], description="URIs of their annotations, for poses; by default as --source")
    output: Output[str | None] = Field(None, description="URI of the scored data set; by default DATASET-scored")
    device: Device = Field("cpu", description="cpu, cuda or cuda:N")
    threads: Threads = None


def main(settings: Settings) -> None:
    """Score, write, tell the figures."""
    use_threads(settings.threads)
    check_device(settings.device)
    model = load_reid(settings.model, settings.device)
    own = settings.part(ScoreSettings)
    job = open_scoring(settings.dataset, settings.source, model, settings.model, own, settings.annotations)
    scored = score(job, settings.output or f"{settings.dataset.rstrip('/')}-scored")
    record: dict[str, Any] = scored.run["run"]
    for name, value in record["scores"].items():
        print(f"{name}: {value:.4g}")
    for kind, told in record["targets"].items():
        if "not_judged" in told:
            print(f"whether rows reached the {kind} asked for is not known: {told['not_judged']}")
    for doubt in doubts_of_scores(record["scores"]):
        print(f"warning: {doubt}", file=sys.stderr)
    print(f"{scored.uri}: {scored.snapshot.rows} rows scored")


if __name__ == "__main__":
    run_job(Settings, main)
