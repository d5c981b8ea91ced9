"""Shard in, shard out: decode, generate, score, label, encode, commit. No engine in it.

A shard's bytes are a function of its plan rows and the inputs named in the run: batches are cut the same way
every time and padded to one shape, and no time, run or machine is written into a row.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from manifests import soft_labels
from manifests.rows import fetch_rows
from manifests.schema import QUALITY_SCORES, REJECT_SCHEMA, SYNTHETIC_SCHEMA, TRAINED_ALGORITHMIC_MEDIA
from manifests.store import ShardSink, open_dataset
from pipeline.annotations import Annotation, Annotations, keypoint_structs, reject_row
from pipeline.digests import subject_key
from pipeline.generator import Generator, load_generator
from pipeline.images import (
    BoolMask,
    ImageError,
    RgbImage,
    decode,
    encode,
    encode_mask,
    pixel_sha256,
    resize,
    resize_mask,
    sha256,
)
from pipeline.plan import RECIPE_VERSION, SynthesisPlan, SynthesisSettings
from pipeline.quality import StyleStatistics, masked_change, structure_similarity, style_shift
from pipeline.training_data import LOAD_SCALE, Crop, DomainData, crop_together, random_generator

STAGE = "synthesize"
_SOURCE_COLUMNS = ("image", "image_sha256", "dataset_id", "relative_path")
_NO_ANNOTATION = Annotation(None, None, None)


@dataclass(frozen=True)
class SynthesisInputs:
    """What every worker opens for itself; small, picklable."""

    source_uri: str
    annotations_uri: str | None
    generator: str
    domain: str
    target_style: StyleStatistics | None
    device: str = "cpu"
    threads: int = 1


@dataclass
class View:
    """A source image as the generator sees it, with what moved along: mask and keypoints in its pixels."""

    source: dict[str, Any]
    plan: dict[str, Any]
    image: RgbImage
    mask: BoolMask | None
    keypoints: NDArray[np.float32] | None


@dataclass
class StageClock:
    """Seconds spent in each part of a shard."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - started

    def rounded(self) -> dict[str, float]:
        return {f"{part}_seconds": round(value, 4) for part, value in self.seconds.items()}


class SynthesisWorker:
    """Holds the generator and the inputs; makes and commits one shard at a time."""

    def __init__(
        self, inputs: SynthesisInputs, plan: SynthesisPlan, settings: SynthesisSettings, sink: ShardSink
    ) -> None:
        self.inputs, self.settings, self.sink = inputs, settings, sink
        if inputs.device == "cpu":
            torch.set_num_threads(inputs.threads)
        self.plan_id, self.settings_sha256 = plan.plan_id, plan.settings_sha256
        self.num_classes = len(plan.classes)
        self.source = open_dataset(inputs.source_uri)
        self.annotations = Annotations(open_dataset(inputs.annotations_uri)) if inputs.annotations_uri else None

    @cached_property
    def generator(self) -> Generator:
        """Loaded by the worker that uses it, never sent between processes."""
        return load_generator(
            self.inputs.generator, self.inputs.device, self.settings.precision, self.settings.batch_size
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return self.settings.height or self.generator.height, self.settings.width or self.generator.width

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        """Make the plan's rows batch by batch; yield how many were finished; commit at the end."""
        clock = StageClock()
        with clock.measure("load"):
            _ = self.generator
        rows: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        with ThreadPoolExecutor(self.inputs.threads) as threads:
            for start in range(0, plan.num_rows, self.settings.batch_size):
                part = plan.slice(start, self.settings.batch_size)
                rows += self._make_batch(part, rejects, clock, threads.map)
                yield part.num_rows
        with clock.measure("commit"):
            self.sink.commit(shard, self._table(rows), _reject_table(rejects), clock.rounded())

    def _make_batch(
        self,
        part: pa.Table,
        rejects: list[dict[str, Any]],
        clock: StageClock,
        each: Callable[..., Iterator[Any]],
    ) -> list[dict[str, Any]]:
        """The rows of one batch; what cannot be read goes to ``rejects``."""
        with clock.measure("decode"):
            sources = fetch_rows(self.source, part, _SOURCE_COLUMNS).to_pylist()
            made = list(each(self._view, sources, part.to_pylist()))
            views = [view for view in made if isinstance(view, View)]
            rejects += [reject for reject in made if not isinstance(reject, View)]
        if not views:
            return []
        with clock.measure("generate"):
            images = self.generator.translate(np.stack([view.image for view in views]))
        with clock.measure("score"):
            scores = list(each(self._score, views, images))
        with clock.measure("encode"):
            return list(each(self._row, views, images, scores))

    def _view(self, source: dict[str, Any], plan: dict[str, Any]) -> View | dict[str, Any]:
        """The decoded source at the generator's size, or the reject that it became."""
        try:
            image = decode(source["image"]["bytes"])
        except ImageError as error:
            return reject_row(source, plan["sample_id"], "decode", error)
        found = self.annotations.get(source["image_sha256"]) if self.annotations else None
        return fit_view(source, plan, image, found or _NO_ANNOTATION, *self.size)

    def _score(self, view: View, image: RgbImage) -> dict[str, float | None]:
        return score(view, image, self.inputs.target_style)

    def _row(self, view: View, image: RgbImage, scores: dict[str, float | None]) -> dict[str, Any]:
        """One row of the synthetic manifest, all but its label columns."""
        plan, source = view.plan, view.source
        data = encode(image, self.settings.image_format, self.settings.quality)
        suffix = {"jpeg": "jpg"}.get(self.settings.image_format, self.settings.image_format)
        return {
            "sample_id": plan["sample_id"],
            "image": {"bytes": data, "path": f"{plan['sample_id']}.{suffix}"},
            "image_sha256": sha256(data),
            "pixel_sha256": pixel_sha256(image),
            "width": image.shape[1],
            "height": image.shape[0],
            "identity": plan["identity"],
            "hard_label": plan["hard_label"],
            "camera": plan["camera"],
            "domain": self.inputs.domain,
            "split": plan["split"],
            "subject_keys": [subject_key(source["dataset_id"], plan["identity"])],
            "sources": [
                {"sha256": source["image_sha256"], "role": "content", "dataset_id": source["dataset_id"]},
            ],
            "recipe": self.generator.recipe,
            "recipe_version": RECIPE_VERSION,
            "settings_sha256": self.settings_sha256,
            "seed": plan["seed"],
            "draw": plan["draw"],
            "plan_id": self.plan_id,
            "checkpoint_sha256s": [self.generator.sha256],
            "target": {"camera": None, "domain": self.inputs.domain, "pose": None},
            "mask": encode_mask(view.mask) if view.mask is not None else None,
            "keypoints": keypoint_structs(view.keypoints) if view.keypoints is not None else None,
            "quality": {name: scores.get(name) for name in QUALITY_SCORES},
            "digital_source_type": TRAINED_ALGORITHMIC_MEDIA,
        }

    def _table(self, rows: list[dict[str, Any]]) -> pa.Table:
        """The rows with their label columns, in the schema's order."""
        labels = label_columns([row["hard_label"] for row in rows], self.num_classes, self.settings)
        names = [name for name in SYNTHETIC_SCHEMA.names if name not in labels]
        bare = pa.schema([SYNTHETIC_SCHEMA.field(name) for name in names])
        columns = dict(zip(names, pa.Table.from_pylist(rows, schema=bare).columns, strict=True)) | labels
        return pa.table({name: columns[name] for name in SYNTHETIC_SCHEMA.names})


def fit_view(
    source: dict[str, Any], plan: dict[str, Any], image: RgbImage, known: Annotation, height: int, width: int
) -> View:
    """Bring an image and its annotation to ``height`` x ``width``.

    Draw 0 is the whole image. A generator of this kind has no noise input, so later draws see another view: the
    training augmentation (enlarge by 1.117, crop, mirror by chance), drawn from the row's own seed.
    """
    draw = plan["draw"]
    size = (height, width) if draw == 0 else (round(height * LOAD_SCALE), round(width * LOAD_SCALE))
    scale = np.array([size[1] / image.shape[1], size[0] / image.shape[0], 1.0], np.float32)
    sized = DomainData(
        images=resize(image, *size)[None],
        masks=resize_mask(known.mask, *size)[None] if known.mask is not None else None,
        keypoints=(known.keypoints * scale)[None] if known.keypoints is not None else None,
    )
    if draw > 0:
        random = random_generator(plan["seed"])
        top, left = (int(random.integers(room + 1)) for room in (size[0] - height, size[1] - width))
        sized = crop_together(sized, [Crop(top, left, bool(random.random() < 0.5))], height, width)
    return View(
        source,
        plan,
        sized.images[0],
        sized.masks[0] if sized.masks is not None else None,
        sized.keypoints[0] if sized.keypoints is not None else None,
    )


def score(view: View, image: RgbImage, target_style: StyleStatistics | None) -> dict[str, float | None]:
    """Quality of one generated image against the view that it was made from; None where it cannot be told."""
    scores: dict[str, float | None] = {}
    if view.mask is not None:
        scores["foreground_change"] = masked_change(view.image, image, view.mask)
        scores["foreground_fidelity"] = structure_similarity(view.image, image, view.mask)
        scores["background_change"] = masked_change(view.image, image, ~view.mask)
    if target_style is not None:
        scores["style_shift"] = style_shift(view.image, image, target_style)
    return scores


def label_columns(hard_labels: Sequence[int], num_classes: int, settings: SynthesisSettings) -> dict[str, Any]:
    """The label columns of the rows by the run's rule."""
    if settings.label_rule == "one_hot":
        return soft_labels.one_hot(hard_labels, num_classes)
    return soft_labels.lsr(hard_labels, num_classes, settings.label_epsilon)


def _reject_table(rejects: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)
