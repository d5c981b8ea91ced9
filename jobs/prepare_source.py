"""Reads a folder of a ReID data set into a source data set.

python jobs/prepare_source.py --layout market1501 --root Market-1501 --domain market --output runs/market
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from manifests.errors import UserError
from pipeline.common.settings import Advanced, Output, Run, run_job
from pipeline.sources.files import SPLITS, Split
from pipeline.sources.ingest import ingest, make_plan, summarize
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.layout_base import Layout, ScanOptions
from pipeline.sources.reading import Provenance
from pipeline.synthesis.lineage_events import LineageRun
from pipeline.synthesis.lineage_sending import LineageSettings, telling

LayoutName = Literal["market1501", "dukemtmc", "msmt17", "cuhk03", "cuhk03_np", "prid2011", "folder", "toyworld"]


class Settings(LineageSettings):
    """Read a folder of a ReID data set into a source data set: labels, digests, rejects."""

    group = "input"
    layout: LayoutName = Field(description="how the folder is laid out")
    root: Path = Field(description="the folder that the data set lies in")
    domain: Output[str] = Field(min_length=1, description="name of the domain, on every row")
    output: Output[str] = Field(min_length=1, description="path or URI of the data set to write")
    dataset_id: Output[str | None] = Field(None, min_length=1, description="name of the data set; the domain if absent")
    licence: Output[str | None] = Field(None, description="terms under which the images may be used, on every row")
    consent_basis: Output[str | None] = Field(None, description="why the people in it may be shown, on every row")
    splits: list[Split] = Field(list(SPLITS), min_length=1, description="splits to read")
    shard_size: Advanced[Output[int]] = Field(4096, ge=1, le=65536, description="images in a shard, at most")
    accept_terms: bool = Field(False, description="needed for sets that were withdrawn")
    accept_generated: bool = Field(False, description="read images that say of themselves that they were generated")
    variant: Advanced[str | None] = Field(
        None, description="cuhk03: detected, labeled; prid2011: single_shot, multi_shot"
    )
    split_file: Advanced[Path | None] = Field(None, description="cuhk03, prid2011: JSON file of train/test splits")
    split_index: Advanced[int] = Field(0, ge=0, description="cuhk03, prid2011: which split of the file, from 0")
    labels: Path | None = Field(None, description="folder: CSV or Parquet with path, identity, camera")
    threads: Run[int | None] = Field(None, ge=1, le=256, description="threads that read and decode; one a core")


def main(settings: Settings) -> None:
    layout = get_layout(settings.layout)
    _check_terms(layout, settings)
    provenance = Provenance(
        dataset_id=settings.dataset_id or settings.domain,
        domain=settings.domain,
        licence=settings.licence or layout.licence,
        consent_basis=settings.consent_basis or layout.consent_basis,
    )
    options = ScanOptions(settings.variant, settings.split_file, settings.split_index, settings.labels)
    plan = make_plan(
        settings.root,
        layout,
        provenance,
        options,
        settings.splits,
        settings.shard_size,
        accept_generated=settings.accept_generated,
    )
    print(f"{plan.files} files found, {len(plan.shards)} shards, plan {plan.plan_id}", flush=True)
    for remark in plan.remarks:
        print(f"note: {remark}", flush=True)
    record = _run_record(settings, provenance)
    with telling(settings.lineage, LineageRun("prepare_source", "source", record, (settings.root,), settings.output)):
        dataset = ingest(settings.root, plan, provenance, settings.output, record, settings.threads)
    for line in summarize(dataset, settings.accept_generated).lines():
        print(line)
    print(f"source data set: {dataset.uri}")


def _check_terms(layout: Layout, settings: Settings) -> None:
    if layout.notice:
        print(f"note: {layout.notice}", flush=True)
    if layout.must_accept and not settings.accept_terms:
        raise UserError(f"{layout.name}: {layout.notice}; --accept-terms says that you have that right")
    for name in ("variant", "split_file", "split_index", "labels"):
        if getattr(settings, name) != Settings.model_fields[name].default and name not in layout.options:
            raise UserError(f"--{name.replace('_', '-')} means nothing to --layout {layout.name}")


def _run_record(settings: Settings, provenance: Provenance) -> dict[str, Any]:
    from pipeline.common.environment import environment  # imports torch: only once there is something to record

    return {
        "job": "prepare_source",
        "settings": settings.model_dump(mode="json", exclude={"lineage"}),
        "inputs": [
            {
                "id": provenance.dataset_id,
                "licence": provenance.licence,
                "consent": provenance.consent_basis,
            }
        ],
        "environment": environment(),
    }


if __name__ == "__main__":
    run_job(Settings, main)
