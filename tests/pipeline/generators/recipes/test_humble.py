"""Recipes that train nothing go the whole way of the others: a training, a weights file, a plan, rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.common.colours import change_widths, look_of
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.humble import ColourJitter, HumbleSettings, Reinhard
from pipeline.generators.trained import Generator, load_generator, save_generator
from pipeline.generators.trained_set import open_generators
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.generators.training.result import write_result
from pipeline.generators.training.run import TrainingRun
from pipeline.synthesis.plan_kinds import CameraSettings, TranslationSettings
from pipeline.training.data import DomainData
from tests.conftest import ToySources
from tests.pipeline.tiny_synthesis import CUT, made, pixels

SIZE = 32, 16


def tinted(seed: int, rows: int, *tints: tuple[int, int, int]) -> DomainData:
    """Noise in some tints in turn, by cameras 3, 5, ... in turn."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (rows, *SIZE, 3), dtype=np.uint8)
    turns = np.arange(rows) % len(tints)
    return DomainData(
        images + np.array(tints, np.uint8)[turns][:, None, None], cameras=(3 + 2 * turns).astype(np.int64)
    )


SOURCE = tinted(0, 12, (90, 90, 90), (40, 90, 140))
TARGET = tinted(1, 9, (20, 100, 60), (150, 90, 30), (100, 30, 150))


def trained(folder: Path, name: str, **changes: object) -> Generator:
    """By one step that does nothing, on `SOURCE` and `TARGET`."""
    model = find_recipe(name)
    data = {role: {"source": SOURCE, "target": TARGET}[role] for role in model.roles}
    recipe = model().fitted(data)
    values = {"steps": 1, "height": SIZE[0], "width": SIZE[1], **changes}
    training = Training(recipe, recipe.batches(data, SIZE, 0), folder, TrainingSettings.model_validate(values))
    training.run()
    write_result(training, data, {})
    return load_generator(folder, precision="float32", batch_size=4)


def nearest(image: np.ndarray, data: DomainData) -> int:
    """The row whose look is nearest."""
    looks = np.stack([look_of(one) for one in data.images])
    return int(np.abs(looks - look_of(image)).sum(axis=1).argmin())


def test_each_row_has_the_look_of_a_target_image_of_its_own(tmp_path: Path) -> None:
    generator, seeds = trained(tmp_path, "reinhard", average_decay=0.9), np.arange(40) + 2**40
    images = np.repeat(SOURCE.images[:1], 40, axis=0)
    columns = {"source": images, "seed": seeds}
    found = generator.generate(columns)
    chosen = [nearest(image, TARGET) for image in found]
    assert len(set(chosen)) == len(TARGET), "every target image is some row's"
    for image, row in zip(found, chosen, strict=True):
        assert look_of(image) == pytest.approx(look_of(TARGET.images[row]), rel=0.1, abs=1.5)
    again = generator.generate({name: column[::-1].copy() for name, column in columns.items()})[::-1]
    assert (again == found).all(), "a row depends on its own seed alone"
    half = load_generator(tmp_path, precision="bfloat16", batch_size=16).generate(columns)
    assert (half == found).all(), "and on no precision"
    assert (generator.translate(images) == generator.generate({**columns, "seed": np.arange(40)})).all()


def test_a_camera_has_the_looks_of_its_own_images(tmp_path: Path) -> None:
    generator = trained(tmp_path, "reinhard_cameras")
    assert open_generators(str(tmp_path)).cameras == (3, 5)
    for place, camera in enumerate((3, 5)):
        columns = {"source": SOURCE.images, "seed": np.arange(12), "camera": np.full(12, place)}
        found = generator.generate(columns)
        assert {int(SOURCE.cameras[nearest(image, SOURCE)]) for image in found} == {camera}  # type: ignore[index]


def test_a_jitter_moves_as_far_in_all_directions(tmp_path: Path) -> None:
    generator = trained(tmp_path, "colour_jitter")
    sources, targets = (np.stack([look_of(one) for one in data.images]) for data in (SOURCE, TARGET))
    widths = change_widths(sources, targets)
    grey = tinted(5, 1, (100, 100, 100)).images
    found = generator.generate({"source": np.repeat(grey, 400, axis=0), "seed": np.arange(400)})
    change = np.stack([look_of(image) for image in found])[:, :3] - look_of(grey[0])[:3]
    # Half of a normal distribution lies within 0.674 of its width, and clipped colours change the median least.
    assert np.median(np.abs(change), axis=0) == pytest.approx(0.674 * widths[:3], rel=0.2)
    assert np.abs(np.median(change, axis=0)) == pytest.approx(0, abs=0.2 * widths[:3].max())


def test_a_jitter_between_cameras_is_as_wide_as_between_any_two_images() -> None:
    recipe = find_recipe("colour_jitter_cameras")().fitted({"source": SOURCE})
    looks = np.stack([look_of(image) for image in SOURCE.images])
    looks[:, 3:] = np.log(looks[:, 3:])
    expected = np.sqrt(((looks[:, None] - looks) ** 2).mean(axis=(0, 1)))
    kept = recipe.build(torch.Generator(), SIZE)["generator"].of(None)  # type: ignore[operator]
    assert kept == pytest.approx(expected[None], abs=1 / 1024)


def test_no_camera_is_made_up(tmp_path: Path) -> None:
    model = find_recipe("reinhard_cameras")
    with pytest.raises(UserError, match="reinhard_cameras needs images by two cameras or more"):
        model().fitted({"source": SOURCE.take(np.flatnonzero(np.arange(12) % 2 == 0))})
    unknown = replace(SOURCE, cameras=np.where(np.arange(12) < 3, -1, SOURCE.cameras))
    for name in ("reinhard_cameras", "colour_jitter_cameras"):
        settings = find_recipe(name)().fitted({"source": unknown}).settings
        assert settings.cameras == (3, 5), "images of no known camera are of none"  # type: ignore[attr-defined]
    # A stranger's file that names two cameras and holds looks of the first alone.
    empty = model(model.settings_model.model_validate({"looks": 2, "cameras": (1, 2)}))
    save_generator(tmp_path / "generator.safetensors", empty.build_generator(SIZE), empty, *SIZE)
    columns = {"source": SOURCE.images[:1], "seed": np.zeros(1, np.int64), "camera": np.ones(1, np.int64)}
    with pytest.raises(UserError, match="no look of its camera number 1"):
        load_generator(tmp_path).generate(columns)


def test_few_looks_are_spread_evenly() -> None:
    recipe = Reinhard(HumbleSettings(looks=3)).fitted({"source": SOURCE, "target": TARGET})
    kept = recipe.build(torch.Generator(), SIZE)["generator"].of(None)  # type: ignore[operator]
    expected = [look_of(TARGET.images[row]) for row in (0, 4, 8)]
    assert kept == pytest.approx(np.stack(expected), abs=1 / 1024)
    assert ColourJitter().fitted({"source": SOURCE, "target": TARGET}).settings.looks == 1


def test_rows_of_a_plan(toy_sources: ToySources, tmp_path: Path) -> None:
    """Domains and cameras through training and worker: rows as a generator's, the same however the plan is cut."""
    settings = TrainingSettings(steps=1, height=64, width=32)
    market, duke = (toy_sources.market, None), (toy_sources.duke, None)
    runs = {
        "reinhard": TranslationSettings.model_validate({**CUT, "limit": 4, "per_image": 2}),
        "colour_jitter_cameras": CameraSettings.model_validate({**CUT, "limit": 3}),
    }
    for name, wanted in runs.items():
        manifests = {"source": market, "target": duke} if name == "reinhard" else {"source": market}
        folder = tmp_path / name
        TrainingRun(find_recipe(name)(), settings, folder, manifests).train()
        target = duke[0] if name == "reinhard" else None
        sets = []
        for changes in ({}, {"shard_size": 2}):
            job = prepare_synthesis(
                market[0], target, str(folder), wanted.model_copy(update=changes), annotations_uri=None
            )
            sets.append(made(job, tmp_path / f"{name}-{len(sets)}-{len(changes)}"))
        assert pixels(sets[0]) == pixels(sets[1])
        assert len(set(pixels(sets[0]).values())) == sets[0].snapshot.rows
        rows = sets[0].scan().select("recipe", "target", "label_rule", "subject_keys").collect()
        assert set(rows["recipe"]) == {name}
        assert set(rows["label_rule"]) == {"lsr"}
        domains = set(rows["target"].struct.field("domain"))
        assert domains == ({"duke-like"} if name == "reinhard" else {None})
        card = open_dataset(sets[0].uri).run["run"]["checkpoints"][0]
        assert set(card["trained_on"]) == set(manifests)
    shift = open_dataset(str(tmp_path / "reinhard-0-0")).scan().select(pl.col("quality").struct.field("style_shift"))
    assert shift.collect().to_series().mean() > 0.3
