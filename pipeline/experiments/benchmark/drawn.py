"""The ceiling of any generator: rows that the world itself draws in the asked camera, place or pose, in the form and
the numbers of generated ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from manifests.format.schema import (
    ALGORITHMIC_MEDIA,
    QUALITY_SCORES,
    SOURCE_TYPE_KEY,
    SYNTHETIC_SCHEMA,
    source_type_uri,
)
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.attempt import attempt
from manifests.writing.run import DatasetRun
from pipeline.common.digests import content_id, content_seed, plan_digest, settings_sha256, subject_key
from pipeline.common.environment import environment
from pipeline.common.images import RgbImage, encode, pixel_sha256, resize, sha256
from pipeline.experiments.benchmark.arms import Arm, Drawn
from pipeline.experiments.benchmark.gaps import MARKET, Gap
from pipeline.experiments.benchmark.settings import Bench
from pipeline.experiments.benchmark.worlds import provenance
from pipeline.sources.files import Split
from pipeline.sources.toyworld import CAMERAS, VERSION, DomainName
from pipeline.sources.toyworld.again import NEWCOMERS, draw_again
from pipeline.synthesis.labelling import Labeller, LabelSettings
from pipeline.synthesis.people import Person, select_people
from pipeline.synthesis.recorded_inputs import described

RECIPE = "toyworld"
HEADINGS = 8
"""Poses of an image: as many as PN-GAN has canonical ones, an eighth of a turn apart."""
_SHARD = 1024


class Redrawn(NamedTuple):
    """A row to be drawn: who, where, and of which image it is another."""

    source: Person | None
    """None of a newcomer, of whom there is no image."""
    identity: int
    place: DomainName
    camera: int
    draw: int
    heading: float | None = None
    target: str | None = None
    """What is asked for, by its name in ``target``."""

    @property
    def asked(self) -> dict[str, int | str | None]:
        """The row's column ``target``."""
        turn = None if self.heading is None else f"class {round(self.heading * HEADINGS / 360)}"
        known = {"camera": self.camera, "domain": self.place, "pose": turn}
        return {name: value if name == self.target else None for name, value in known.items()}


def redrawn(kind: Drawn, gap: Gap, people: Sequence[Person], newcomers: int) -> Iterator[Redrawn]:
    """The rows of one kind for the gap's images of ``people``.

    ``cameras``: each image by every other camera of the gap; ``place``: once, by some camera of the measured place;
    ``poses``: turned eight ways, by its own camera; ``newcomers``: so many images of people who are in no list, the
    cameras dealt evenly.
    """
    cameras, place = _cameras(gap), gap.measured_on
    for person in people if kind != "newcomers" else ():
        who = Redrawn(person, int(person.identity), MARKET, person.camera or 0, _draw(person))
        if kind == "cameras":
            others = (camera for camera in cameras if camera != person.camera)
            yield from (who._replace(camera=camera, target="camera") for camera in others)
        elif kind == "place":
            camera = 1 + content_seed("place", person.image_id) % CAMERAS[place]
            yield who._replace(place=place, camera=camera, target="domain")
        else:
            turns = (turn * 360 / HEADINGS for turn in range(HEADINGS))
            yield from (who._replace(heading=turn, target="pose") for turn in turns)
    for number in range(newcomers if kind == "newcomers" else 0):
        # Two images each: a generator out of noise makes no promise either.
        yield Redrawn(None, NEWCOMERS + number // 2, MARKET, cameras[number % len(cameras)], number)


def draw_rows(bench: Bench, arm: Arm, part: str, splits: Sequence[Split]) -> Dataset:
    """Draw the arm's rows for one of the gap's sets and write them as a synthetic data set; found there if it is."""
    source = open_dataset(bench.uri(part))
    people = select_people(source, splits)
    newcomers = round(source.snapshot.rows * arm.synthetic_per_real)
    asked = sorted(redrawn(_drawn(arm), bench.gap, people, newcomers), key=partial(_place, bench))
    settings = {"seed": bench.seed, "version": VERSION, "drawn": arm.drawn, "label": dict(arm.label)}
    settings |= {"height": bench.settings.height, "width": bench.settings.width}
    plan_id = plan_digest(RECIPE, settings, (_name(bench, row) for row in asked))
    shards = {start // _SHARD: asked[start : start + _SHARD] for start in range(0, len(asked), _SHARD)}
    classes = ClassMap.of(person.identity for person in people)
    run = DatasetRun.start(
        str(bench.images_folder(arm) / part),
        "synthetic",
        plan_id,
        {number: len(rows) for number, rows in shards.items()},
        footer={ClassMap.FOOTER_KEY: classes.to_json(), SOURCE_TYPE_KEY: source_type_uri(ALGORITHMIC_MEDIA)},
        run={"job": "draw", "settings": settings, "inputs": described("source", source), "environment": environment()},
    )
    with attempt(run, len(shards)):
        for number in run.pending():
            run.sink.commit(number, _shard(bench, arm, shards[number], classes, plan_id, settings_sha256(settings)))
        run.close()
    return open_dataset(run.uri)


def _drawn(arm: Arm) -> Drawn:
    if arm.drawn is None:
        raise ValueError(f"the arm {arm.name} draws nothing")
    return arm.drawn


def _cameras(gap: Gap) -> tuple[int, ...]:
    return gap.cameras or tuple(range(1, CAMERAS[MARKET] + 1))


def _draw(person: Person) -> int:
    """Another one for each image of a person: they are not to be drawn alike."""
    return content_seed("again", person.image_id) % 2**31


def _place(bench: Bench, row: Redrawn) -> tuple[str, str]:
    """Data sets are sorted by person."""
    return row.source.identity if row.source else "", _name(bench, row)


def _name(bench: Bench, row: Redrawn) -> str:
    made_from = row.source.image_id if row.source else "nobody"
    heading = "" if row.heading is None else row.heading
    return content_id(RECIPE, bench.seed, made_from, row.identity, row.place, row.camera, row.draw, f"{heading}")


def _shard(bench: Bench, arm: Arm, rows: Sequence[Redrawn], classes: ClassMap, plan_id: str, settings: str) -> pa.Table:
    """The rows drawn and labelled."""
    world = settings_sha256(bench.settings.toy_world(bench.seed, MARKET).model_dump(mode="json"))
    common: dict[str, Any] = {
        "recipe": RECIPE,
        "recipe_version": str(VERSION),
        "settings_sha256": settings,
        "plan_id": plan_id,
    }
    common |= {"checkpoint_sha256s": [world], "digital_source_type": ALGORITHMIC_MEDIA}
    images = [_image(bench, row) for row in rows]
    described = [
        _row(_name(bench, row), row, image, bench.seed) | common for row, image in zip(rows, images, strict=True)
    ]
    hard = [classes.number(row.source.identity if row.source else None) for row in rows]
    labels = Labeller(LabelSettings.model_validate(dict(arm.label)), len(classes)).columns(hard, np.stack(images))
    bare = pa.schema([field for field in SYNTHETIC_SCHEMA if field.name not in labels])
    columns = pa.Table.from_pylist(described, schema=bare)
    return pa.table(dict(zip(columns.column_names, columns.columns, strict=True)) | labels)


def _image(bench: Bench, row: Redrawn) -> RgbImage:
    """At the size of a generator's images."""
    world = bench.settings.toy_world(bench.seed, row.place)
    sample = draw_again(world, MARKET, row.identity, row.place, row.camera, row.draw, row.heading)
    return resize(sample.image, bench.settings.height, bench.settings.width)


def _row(name: str, row: Redrawn, image: RgbImage, seed: int) -> dict[str, Any]:
    """What is true of one row alone, but its label."""
    data, shown, origin = encode(image), row.source, provenance(seed, row.place)
    sources = {"sha256": shown.image_sha256, "role": "content", "dataset_id": shown.dataset_id} if shown else None
    return {
        "sample_id": name,
        "image": {"bytes": data, "path": f"{name}.jpg"},
        "image_sha256": sha256(data),
        "pixel_sha256": pixel_sha256(image),
        "width": image.shape[1],
        "height": image.shape[0],
        "identity": shown.identity if shown else None,
        "camera": row.camera,
        "domain": row.place,
        "split": shown.split if shown else "train",
        "sources": [sources] if sources else [],
        "subject_keys": [subject_key(shown.dataset_id, shown.identity)] if shown else [],
        "seed": seed,
        "draw": row.draw,
        "target": row.asked,
        "mask": None,
        "keypoints": None,
        "quality": dict.fromkeys(QUALITY_SCORES),
        "licence": origin.licence,
        "consent_basis": origin.consent_basis,
    }
