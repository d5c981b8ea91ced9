"""Keeps the rows of a synthetic data set that help, as a smaller data set, and says why each of the others is not kept.

python jobs/choose_rows.py runs/scored --keep 0.5 --model runs/reid
python jobs/choose_rows.py runs/made --rows 400 --by influence --model runs/reid
python jobs/choose_rows.py runs/made --rows 400 --by random --seed 1

``reliability`` takes rows that `jobs/score_dataset.py` scored. ``random`` is the arm to beat: a choice that does not
beat as many rows at random chose nothing. `python -m manifests show OUTPUT` counts the rows left out by reason, and
`open_dataset(OUTPUT).rejects()` names each. The data set that was given stays; a stopped choice is taken up again by
the same command.
"""

from __future__ import annotations

from collections import Counter

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.common.devices import Device, Threads, check_device, use_threads
from pipeline.common.settings import Advanced, Output, Positional, run_job
from pipeline.reid.model import load_reid
from pipeline.scoring.choosing import ChoiceSettings, choose_rows, open_choosing
from pipeline.sources.files import Split


class Settings(ChoiceSettings):
    """Keep the rows of a synthetic data set that help."""

    group = "input"
    dataset: Positional[str] = Field(description="URI of the synthetic data set")
    model: list[str] = Field([], description="ReID models; influence: several, of one training, are summed over")
    source: list[str] = Field([], description="URIs of the source manifests; by default those of the run record")
    validation: str | None = Field(
        None, description="influence: URI of the source manifest to watch; by default the sources' training rows"
    )
    validation_splits: Advanced[list[Split]] = Field(
        [], description="splits of --validation; by default query and gallery"
    )
    output: Output[str | None] = Field(
        None, description="URI of the data set of the rows kept; by default DATASET-chosen"
    )
    device: Device = Field("cpu", description="cpu, cuda or cuda:N")
    threads: Threads = None


def main(settings: Settings) -> None:
    """Choose, write, tell what was kept."""
    use_threads(settings.threads)
    check_device(settings.device)
    own = settings.part(ChoiceSettings)
    models = [(name, load_reid(name, settings.device)) for name in settings.model]
    job = open_choosing(settings.dataset, own, models, settings.source, settings.validation, settings.validation_splits)
    chosen = choose_rows(job, settings.output or f"{settings.dataset.rstrip('/')}-chosen")
    for reason, rows in sorted((Counter(chosen.snapshot.reasons) - Counter(job.dataset.snapshot.reasons)).items()):
        print(f"{reason}: {rows} rows")
    print(f"{chosen.uri}: {chosen.snapshot.rows} of {job.dataset.snapshot.rows} rows kept, {own.by}")


if __name__ == "__main__":
    run_job(Settings, main)
