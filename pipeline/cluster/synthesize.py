"""Synthesis on Ray: plan, shards on actors, commit, close."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from manifests.dataset import Dataset
from manifests.errors import UserError
from manifests.rows import fetch_rows, index_rows
from manifests.soft_labels import ClassMap
from manifests.store import DatasetRun, open_dataset
from pipeline.cluster.pool import run_shards
from pipeline.cluster.resources import stage_resources
from pipeline.cluster.session import ClusterSettings
from pipeline.fingerprint import environment
from pipeline.generator import Generator, load_generator
from pipeline.images import ImageError, decode, encode, resize
from pipeline.plan import SynthesisPlan, SynthesisSettings, expected_bytes, plan_translation
from pipeline.progress import Progress
from pipeline.quality import StyleStatistics
from pipeline.synthesis import STAGE, SynthesisInputs, SynthesisWorker

STYLE_IMAGES = 1000
"""How many images of the target domain, evenly spread over it, its style statistics are taken from."""
SIZE_IMAGES = 32


@dataclass(frozen=True)
class Synthesis:
    """A plan with all that its workers need."""

    source: Dataset
    target: Dataset | None
    generator: Generator
    settings: SynthesisSettings
    inputs: SynthesisInputs
    plan: SynthesisPlan

    def dry_run_lines(self) -> list[str]:
        """What would be made: samples, shards, estimated size."""
        rows = self.plan.rows
        size = expected_bytes(self._sample_sizes(), rows.num_rows)
        return [
            f"plan {self.plan.plan_id}",
            f"samples: {rows.num_rows} ({self.settings.per_image} for each of "
            f"{rows.num_rows // self.settings.per_image} source images, {len(self.plan.classes)} identities)",
            f"shards: {len(self.plan.shards)} of up to {self.settings.shard_size} rows",
            f"estimated size: {size / 2**20:.1f} MiB",
        ]

    def _sample_sizes(self) -> np.ndarray:
        """Encoded sizes in bytes of a few sources at the output's size: a generated image weighs about the same."""
        height = self.settings.height or self.generator.height
        width = self.settings.width or self.generator.width
        images = [resize(image, height, width) for image in _spread_images(self.source, SIZE_IMAGES)]
        sizes = [len(encode(image, self.settings.image_format, self.settings.quality)) for image in images]
        return np.array(sizes or [0])


def prepare_synthesis(
    source_uri: str,
    target_uri: str | None,
    generator_name: str,
    settings: SynthesisSettings,
    *,
    annotations_uri: str | None,
    device: str = "cpu",
) -> Synthesis:
    """Open the inputs and compute the plan; writes nothing.

    Raises:
        UserError: an input is missing or of the wrong kind.
    """
    source = open_dataset(source_uri)
    target = open_dataset(target_uri) if target_uri else None
    annotations = open_dataset(annotations_uri) if annotations_uri else None
    # The driver may stand on a node without the device: it loads the generator to know it, not to run it.
    generator = load_generator(generator_name, "cpu", settings.precision, settings.batch_size)
    settings = settings.model_copy(
        update={
            "height": settings.height or generator.height,
            "width": settings.width or generator.width,
            "precision": generator.precision if device == "cpu" else settings.precision,
        }
    )
    digests = {"source": source.digest()}
    digests |= {"target": target.digest()} if target else {}
    digests |= {"annotations": annotations.digest()} if annotations else {}
    domain = _domain(target or source)
    inputs = SynthesisInputs(
        source_uri=source.uri,
        annotations_uri=annotations.uri if annotations else None,
        generator=generator_name,
        domain=domain,
        target_style=_style(target, settings) if target else None,
        device=device,
    )
    plan = plan_translation(source, settings, generator.recipe, [generator.sha256], {**digests, "domain": domain})
    return Synthesis(source, target, generator, settings, inputs, plan)


def synthesize(
    job: Synthesis, output_uri: str, *, where: ClusterSettings | None = None, record: dict[str, Any] | None = None
) -> Dataset:
    """Make the plan's images on actors and close the data set at ``output_uri``; needs a Ray session.

    Raises:
        UserError: the output holds another plan's run, the stage cannot be placed, a worker keeps failing.
    """
    plan = job.plan
    run = DatasetRun.start(
        output_uri,
        "synthetic",
        plan.plan_id,
        {shard: rows.num_rows for shard, rows in plan.shards.items()},
        footer={ClassMap.FOOTER_KEY: plan.classes.to_json()},
        run=_record(job) | (record or {}),
    )
    if run.finished:
        print(f"{output_uri} holds this plan already, complete: nothing to do", flush=True)
        return open_dataset(output_uri)
    to_do = {shard: plan.shards[shard] for shard in run.pending()}
    rows = sum(shard.num_rows for shard in to_do.values())
    resumed = f", {run.resumed_shards} shards done before" if run.resumed_shards else ""
    print(f"{STAGE}: {rows} images in {len(to_do)} shards to make{resumed}", flush=True)
    build = partial(SynthesisWorker, job.inputs, replace(plan, rows=plan.rows.slice(0, 0)), job.settings, run.sink)
    try:
        with Progress(STAGE, rows) as progress:
            run_shards(STAGE, build, to_do, stage_resources(STAGE, job.inputs.device), where, progress)
        run.close()
    except UserError as error:
        run.fail(str(error))
        raise
    return open_dataset(output_uri)


def _record(job: Synthesis) -> dict[str, Any]:
    """What the run record says beside ids and counts."""
    used = [dataset for dataset in (job.source, job.target) if dataset is not None]
    return {
        "job": STAGE,
        "settings": job.settings.model_dump(mode="json"),
        "settings_sha256": job.plan.settings_sha256,
        "checkpoints": [{"name": job.generator.name, "sha256": job.generator.sha256, "recipe": job.generator.recipe}],
        "inputs": [described for dataset in used for described in _inputs(dataset)],
        "target_style": job.inputs.target_style.as_dict() if job.inputs.target_style else None,
        "environment": environment(job.inputs.device, job.inputs.threads),
    }


def _inputs(dataset: Dataset) -> list[dict[str, Any]]:
    """Id and terms of what an input was made of, with the input's own digest and rows."""
    terms = dataset.scan().select("dataset_id", "licence", "consent_basis").unique(maintain_order=True).collect()
    shared = {"uri": dataset.uri, "digest": dataset.digest(), "rows": dataset.snapshot.rows}
    return [
        {"id": row["dataset_id"], "licence": row["licence"], "consent": row["consent_basis"], **shared}
        for row in terms.to_dicts()
    ]


def _domain(dataset: Dataset) -> str:
    """The name of the domain whose style the rows get."""
    domains = dataset.scan().select("domain").unique().collect().get_column("domain").drop_nulls().sort().to_list()
    return str(domains[0]) if domains else "unknown"


def _style(target: Dataset, settings: SynthesisSettings) -> StyleStatistics:
    height, width = settings.height, settings.width
    assert height is not None
    assert width is not None
    images = [resize(image, height, width) for image in _spread_images(target, STYLE_IMAGES)]
    if not images:
        raise UserError(f"the target {target.uri} holds no readable image")
    return StyleStatistics.of(images)


def _spread_images(dataset: Dataset, count: int) -> list[np.ndarray]:
    """Up to ``count`` readable images, evenly spread over the training split (all splits if it has none)."""
    rows = index_rows(dataset, ["split"])
    if not rows.num_rows:
        return []
    train = np.flatnonzero(np.array(rows.column("split").to_pylist()) == "train")
    places = train if len(train) else np.arange(rows.num_rows)
    chosen = places[np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).astype(int))]
    images = []
    for image in fetch_rows(dataset, rows.take(chosen), ["image"]).column("image").to_pylist():
        try:
            images.append(decode(image["bytes"]))
        except ImageError:
            continue  # the worker that meets it writes the reject
    return images
