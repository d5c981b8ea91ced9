"""People pasted before backgrounds of other cameras, through a training, a weights file, a plan and rows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from manifests.checking.validate import validate
from manifests.errors import UserError
from pipeline.cluster.pool import run_shards_here
from pipeline.cluster.synthesize import prepare_synthesis, synthesize
from pipeline.common.tensors import to_batch
from pipeline.generators.backgrounds import grown
from pipeline.generators.recipes.pasted import Pasted, PastedCameras, PastedCameraSettings
from pipeline.generators.trained import load_generator
from pipeline.generators.trained_set import open_generators
from pipeline.generators.training.loop import TrainingSettings
from pipeline.generators.training.run import TrainingRun
from pipeline.generators.training.source import load_domain
from pipeline.synthesis.doubts import doubts_of_size
from pipeline.synthesis.plan_kinds import CameraSettings, PoseSettings, TranslationSettings
from pipeline.synthesis.remaking import remake
from tests.conftest import ToySources
from tests.pipeline.edited_sets import Rows, edited
from tests.pipeline.generators.test_backgrounds import SIZE, of_cameras
from tests.pipeline.tiny_generators import save_tiny, standing_poses
from tests.pipeline.tiny_synthesis import CUT, made, pixels


@pytest.fixture(scope="module")
def pasting(toy_sources: ToySources, toy_annotations: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of the market-like cameras."""
    folder = tmp_path_factory.mktemp("pasted")
    settings = TrainingSettings(steps=1, height=64, width=32)
    manifests = {"source": (toy_sources.market, toy_annotations)}
    TrainingRun(PastedCameras(PastedCameraSettings(backgrounds=4)), settings, folder, manifests).train()
    return folder


def test_every_camera_needs_a_background() -> None:
    with pytest.raises(UserError, match="pasted_cameras needs images by two cameras or more; found 1"):
        PastedCameras().fitted({"source": of_cameras(10)})
    data = of_cameras(10, 20)
    assert data.masks is not None
    dark = replace(data, masks=data.masks & (data.cameras == 0)[:, None, None])  # type: ignore[index]
    with pytest.raises(UserError, match="an image with a mask by each camera; found none by 1"):
        PastedCameras().fitted({"source": dark})


def test_weights_hold_the_backgrounds_and_no_precision_moves_a_pixel(pasting: Path) -> None:
    assert len(open_generators(str(pasting)).cameras) > 1
    data = of_cameras(70, rows=5)
    assert data.masks is not None
    columns = {"source": data.images, "person": data.masks, "camera": np.arange(5) % 2, "seed": np.arange(5)}
    first, second = (
        load_generator(pasting, precision=precision, batch_size=size).generate(columns)
        for precision, size in (("float32", 5), ("float32", 2))
    )
    assert (first == second).all()
    inside = np.s_[:, 12:24, 7:9]
    assert (first[inside] == 255).all()
    assert first.shape[1:3] == SIZE
    assert (load_generator(pasting, precision="bfloat16").generate(columns)[inside] == 255).all()


def test_a_mask_that_is_too_wide_brings_nothing_of_the_old_background() -> None:
    data = {"source": of_cameras(0), "target": of_cameras(200)}
    assert data["source"].masks is not None
    recipe = Pasted().fitted(data)
    kept = recipe.build(torch.Generator(), SIZE)["generator"]
    wide = np.stack([grown(mask) for mask in data["source"].masks])
    columns = {"source": data["source"].images, "person": wide, "seed": np.arange(len(wide))}
    made = recipe.generate(kept, to_batch(columns)) * 127.5 + 127.5
    assert made.min() > 199.5, "white before 200, where black was"


def test_rows_keep_people_and_change_what_is_around(
    pasting: Path, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    settings = CameraSettings.model_validate({**CUT, "limit": 3, "per_image": 2})
    sets = [
        made(
            prepare_synthesis(
                toy_sources.market,
                None,
                str(pasting),
                settings.model_copy(update={"shard_size": size}),
                annotations_uri=toy_annotations,
            ),
            tmp_path / str(size),
        )
        for size in (5, 3)
    ]
    assert pixels(sets[0]) == pixels(sets[1])
    assert len(set(pixels(sets[0]).values())) == sets[0].snapshot.rows
    quality = sets[0].scan().select(pl.col("quality").struct.unnest()).collect()
    # At their edges, of which small people have many, light of the old background counts as structure.
    assert quality["foreground_fidelity"].mean() > 0.65  # type: ignore[operator]
    assert quality["background_change"].mean() > 2 * quality["foreground_change"].mean()  # type: ignore[operator]
    assert set(sets[0].scan().select("digital_source_type").collect().to_series()) == {"composite"}
    names = sorted(pixels(sets[0]))[::-3]
    assert {one.outcome for one in remake(sets[0], names)} == {"identical"}


def test_shards_say_what_their_rows_do(
    pasting: Path, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    settings = CameraSettings.model_validate({**CUT, "limit": 1})
    job = prepare_synthesis(toy_sources.market, None, str(pasting), settings, annotations_uri=toy_annotations)
    dataset = synthesize(job, str(tmp_path / "set"), runner=run_shards_here)
    assert dataset.footer["reid_synth.digital_source_type"].endswith("/digitalsourcetype/composite")
    assert validate(dataset.uri).faults == []


def test_backgrounds_that_are_enlarged_are_warned_of(pasting: Path, tmp_path: Path) -> None:
    """People are as sharp as their sources, what is behind them is not."""
    generators = open_generators(str(pasting))
    known = generators.height, generators.width
    for asked in (known, (known[0] // 2, known[1] // 2)):
        settings = CameraSettings(height=asked[0], width=asked[1])
        assert list(doubts_of_size(generators, settings)) == []
    [doubt] = doubts_of_size(generators, CameraSettings(height=128))
    assert doubt.startswith(f"{pasting} keeps backgrounds of 64 x 32 pixels, which are enlarged to 128 x 32 and so ")
    assert doubt.endswith("train it with --height 128 --width 32")
    save_tiny(tmp_path, "reinhard")
    assert list(doubts_of_size(open_generators(str(tmp_path)), TranslationSettings(height=128, width=64))) == []


def test_masks_are_asked_for(pasting: Path, toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    settings = CameraSettings.model_validate({**CUT, "limit": 2})
    with pytest.raises(UserError, match=r"puts people before other backgrounds: name their masks with --annotations$"):
        prepare_synthesis(toy_sources.market, None, str(pasting), settings, annotations_uri=None)


def test_who_has_no_mask_is_left_out(
    pasting: Path, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    """Their image would pass for another camera's."""
    settings = CameraSettings.model_validate(CUT)
    every = prepare_synthesis(toy_sources.market, None, str(pasting), settings, annotations_uri=toy_annotations)
    unseen = every.plan.shards[0].table().column("image_sha256")[0].as_py()

    def forget(rows: Rows) -> None:
        next(row for row in rows if row["image_sha256"] == unseen)["mask"] = None

    partly = edited(toy_annotations, tmp_path / "annotations", forget)
    fewer = prepare_synthesis(toy_sources.market, None, str(pasting), settings, annotations_uri=partly)
    assert every.plan.num_rows - fewer.plan.num_rows == len(every.inputs.generators.cameras) - 1
    planned = [part.table().column("image_sha256").to_pylist() for part in fewer.plan.shards.values()]
    assert unseen not in {digest for part in planned for digest in part}


def test_before_another_place(toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    """Whose people must be annotated too; here the same people's market stands for it."""
    folder = tmp_path / "trained"
    both = dict.fromkeys(("source", "target"), (toy_sources.market, toy_annotations))
    TrainingRun(Pasted(), TrainingSettings(steps=1, height=64, width=32), folder, both).train()
    settings = TranslationSettings.model_validate({**CUT, "limit": 4, "per_image": 2})
    job = prepare_synthesis(
        toy_sources.market, toy_sources.duke, str(folder), settings, annotations_uri=toy_annotations
    )
    dataset = made(job, tmp_path / "set")
    rows = dataset.scan().select("recipe", pl.col("target").struct.field("domain"), "quality").collect()
    assert set(rows["recipe"]) == {"pasted"}
    assert set(rows["domain"]) == {"duke-like"}
    assert {one.outcome for one in remake(dataset, sorted(pixels(dataset))[:3])} == {"identical"}
    with pytest.raises(UserError, match="name their masks with --annotations"):
        prepare_synthesis(toy_sources.market, toy_sources.duke, str(folder), settings, annotations_uri=None)


def test_a_flow_makes_people_fit_in_or_leaves_them(
    toy_sources: ToySources, toy_annotations: str, cameras: tuple[int, ...], tmp_path: Path
) -> None:
    counts = (2,) * len(cameras)
    save_tiny(tmp_path, "personflow", cameras=cameras, canonical_poses=standing_poses(), background_counts=counts)
    both = []
    for background in ("asked", "own"):
        settings = CameraSettings.model_validate({**CUT, "limit": 2, "background": background})
        job = prepare_synthesis(toy_sources.market, None, str(tmp_path), settings, annotations_uri=toy_annotations)
        dataset = made(job, tmp_path / background)
        assert {one.outcome for one in remake(dataset, sorted(pixels(dataset))[::-4])} == {"identical"}
        both.append(dataset)
    assert not set(pixels(both[0]).values()) & set(pixels(both[1]).values())
    asked = CameraSettings.model_validate({**CUT, "limit": 2})
    with pytest.raises(UserError, match="name their masks with --annotations"):
        prepare_synthesis(toy_sources.market, None, str(tmp_path), asked, annotations_uri=None)
    posed = PoseSettings.model_validate({**CUT, "background": "own"})
    with pytest.raises(UserError, match="--background is for images of another camera or place: leave it out"):
        prepare_synthesis(toy_sources.market, None, str(tmp_path), posed, annotations_uri=toy_annotations)
    own = asked.model_copy(update={"background": "own"})
    assert prepare_synthesis(toy_sources.market, None, str(tmp_path), own, annotations_uri=None).plan.num_rows


def test_who_is_left_out_of_a_training_is_told(
    toy_sources: ToySources, toy_annotations: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def forget(rows: Rows) -> None:
        for row in rows[::2]:
            row["mask"] = None

    partly = edited(toy_annotations, tmp_path / "annotations", forget)
    data = load_domain(toy_sources.market, partly, 64, 32, ["masks", "cameras"], tell=True)
    said = capsys.readouterr().err
    assert re.search(r"^warning: \d+ of \d+ images of .* lack cameras or masks: they are left out$", said, re.MULTILINE)
    assert f"{said.split()[1]}" == str(int(said.split()[3]) - len(data))
