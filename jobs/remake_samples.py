"""Rows of a finished data set made again from their provenance alone, and compared with what is there.

python jobs/remake_samples.py runs/demo/dataset --random 50
python jobs/remake_samples.py runs/demo/dataset 3f2a 91c0 --output runs/again

In the environment of the run every byte is the same; in another the PSNR of the pixels says how near they are. Exit
status 1 where a row is not as promised. Inputs are looked for where the run had them, or where a flag says.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Literal

if __name__ == "__main__":
    import _start  # noqa: F401

import numpy as np
from pydantic import Field

from manifests.errors import UserError
from manifests.format.schema import ROW_ID
from manifests.reading.dataset import Dataset, open_dataset
from manifests.storage.whole_files import open_storage
from pipeline.common.devices import check_device
from pipeline.common.settings import JobSettings, Output, Positional, Run, run_job
from pipeline.synthesis.recorded_inputs import Elsewhere
from pipeline.synthesis.remaking import Remade, remake


class Settings(JobSettings):
    """Make rows of a synthetic data set again from their provenance alone, and compare pixels and bytes."""

    group = "input"
    uri: Positional[str] = Field(description="URI of the data set")
    samples: Positional[list[str]] = Field([], description="ids of rows, or their first digits")
    random: int | None = Field(None, ge=1, description="instead: that many rows drawn at random")
    output: Output[str | None] = Field(None, description="URI of a folder for the images made now")
    source: list[str] = Field([], description="where the source manifest lies now")
    annotations: list[str] = Field([], description="where the source's annotations lie now")
    generator: list[str] = Field([], description="where the generator lies now")
    device: Run[Literal["cpu", "cuda"] | None] = Field(None, description="by default the run's, if it is here")
    min_psnr: Run[float] = Field(35.0, description="least PSNR in dB that is near enough in another environment")


def main(settings: Settings) -> int:
    if settings.device is not None:
        check_device(settings.device)
    if bool(settings.samples) == (settings.random is not None):
        raise UserError("which rows? name ids, or give --random N")
    dataset = open_dataset(settings.uri)
    names = settings.samples or _drawn(dataset, settings.random or 0)
    elsewhere = Elsewhere(settings.source, settings.annotations, settings.generator, settings.device)
    folder = open_storage(settings.output) if settings.output else None
    done = []
    for one in remake(dataset, names, elsewhere):
        done.append(one)
        print(_line(one), flush=True)
        if folder and one.image:
            folder.write(one.image["path"], one.image["bytes"])
    print(_summary(done))
    return int(not all(one.as_promised(settings.min_psnr) for one in done))


def _summary(done: list[Remade]) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(one.outcome for one in done).items())
    psnr = [one.psnr for one in done if one.psnr is not None]
    return f"{len(done)} rows made again: {counts}" + (f", PSNR {min(psnr):.1f} dB or more" if psnr else "")


def _drawn(dataset: Dataset, count: int) -> list[str]:
    """Other rows each time; their ids are printed, so each can be asked for again."""
    names = dataset.read([ROW_ID[dataset.kind]]).column(0).to_pylist()
    chosen = np.random.default_rng(secrets.randbits(64)).permutation(len(names))[:count]
    return [names[index] for index in sorted(chosen)]


def _line(one: Remade) -> str:
    said: list[str] = [one.outcome] if one.reason is None else [one.outcome, one.reason]
    if one.psnr is not None:
        said.append(f"PSNR {one.psnr:.1f} dB")
    if not one.same_environment:
        others = f" ({', '.join(one.libraries)})" if one.libraries else ""
        said.append(f"in another environment than the run's{others}")
    return f"{one.sample_id}: {', '.join(said)}"


if __name__ == "__main__":
    run_job(Settings, main)
