"""Every kind through the worker: what its rows say, and bytes that depend on the row alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from manifests.errors import UserError
from manifests.format.soft_labels import expand
from manifests.reading.dataset import open_dataset
from pipeline.annotation.annotations import Annotations, keypoint_array
from pipeline.cluster.synthesize import Synthesis, prepare_synthesis
from pipeline.common.digests import subject_key
from pipeline.generators.trained_set import SINGLE
from pipeline.synthesis.plan_kinds import CameraSettings
from tests.conftest import ToySources
from tests.pipeline.tiny_generators import save_tiny, standing_poses
from tests.pipeline.tiny_synthesis import Trained, made, pixels, settings_of


@pytest.mark.parametrize("recipe", ["gan_lsro", "cgan", "camstyle", "camstyle_multidomain", "pngan", "pix2pix"])
def test_a_row_does_not_depend_on_how_the_plan_is_cut(
    recipe: str, toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    sets = []
    # A smaller selection and other shards put each row beside others, at another place of its batch.
    for number, changes in enumerate(({}, {"shard_size": 3}, {"shard_size": 100, "images": 9, "limit": 1})):
        settings = settings_of(recipe)
        settings = settings.model_copy(update={k: v for k, v in changes.items() if k in type(settings).model_fields})
        job = prepare_synthesis(toy_sources.market, None, trained(recipe), settings, annotations_uri=toy_annotations)
        sets.append(pixels(made(job, tmp_path / str(number))))
    whole, recut, part = sets
    assert whole == recut
    assert part.items() < whole.items()
    assert len(set(whole.values())) == len(whole)


def test_people_out_of_noise_are_nobody(
    toy_sources: ToySources, trained: Trained, cameras: tuple[int, ...], tmp_path: Path
) -> None:
    settings = settings_of("cgan", images=2 * len(cameras))
    job = prepare_synthesis(toy_sources.market, None, trained("cgan"), settings, annotations_uri=None)
    dataset = made(job, tmp_path / "set")
    rows = dataset.read().to_pylist()
    assert Counter(row["camera"] for row in rows) == dict.fromkeys(cameras, 2)
    for row in rows:
        assert (row["identity"], row["hard_label"], row["split"]) == (None, -1, "train")
        assert (row["sources"], row["subject_keys"]) == ([], [])
        assert row["checkpoint_sha256s"] == [job.inputs.generators.members[SINGLE].sha256]
        assert row["target"] == {"camera": row["camera"], "domain": None, "pose": None}
        assert row["domain"] == "market-like"
        assert (row["label_rule"], row["num_classes"]) == ("lsro", len(job.plan.classes))
        assert (row["mask"], row["keypoints"], set(row["quality"].values())) == (None, None, {None})
    assert np.allclose(expand(dataset.read()), 1 / len(job.plan.classes))


def test_noise_is_the_rows_own(toy_sources: ToySources, trained: Trained, tmp_path: Path) -> None:
    digests = []
    for seed in (0, 1):
        settings = settings_of("gan_lsro", seed=seed)
        job = prepare_synthesis(toy_sources.market, None, trained("gan_lsro"), settings, annotations_uri=None)
        digests.append(set(pixels(made(job, tmp_path / str(seed))).values()))
    assert len(digests[0] | digests[1]) == 26


def test_camera_styles_keep_identity_mask_and_joints(
    toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    settings = settings_of("camstyle", per_image=1)
    job = prepare_synthesis(toy_sources.market, None, trained("camstyle"), settings, annotations_uri=toy_annotations)
    rows = made(job, tmp_path / "set").read().to_pylist()
    by_digest = {row["image_sha256"]: row for row in open_dataset(toy_sources.market).read().to_pylist()}
    members = {member.sha256: name for name, member in job.inputs.generators.members.items()}
    for row in rows:
        source = by_digest[row["sources"][0]["sha256"]]
        assert row["identity"] == source["identity"]
        assert row["target"]["camera"] == row["camera"] != source["camera"]
        assert members[row["checkpoint_sha256s"][0]] == f"{source['camera']}->{row['camera']}"
        assert row["mask"] is not None
        assert len(row["keypoints"]) == 17
        assert row["quality"]["foreground_change"] is not None
        assert row["quality"]["style_shift"] is not None
        assert (row["label_rule"], row["label_epsilon"]) == ("lsr", pytest.approx(0.1))
    assert len({row["checkpoint_sha256s"][0] for row in rows}) > 1


def test_a_drawn_pose_is_named_by_image_and_person(
    toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    settings = settings_of("pngan", poses="data", poses_per_image=4)
    job = prepare_synthesis(toy_sources.market, None, trained("pngan"), settings, annotations_uri=toy_annotations)
    rows = made(job, tmp_path / "set").read().to_pylist()
    known = Annotations(open_dataset(toy_annotations))
    by_digest = {row["image_sha256"]: row for row in open_dataset(toy_sources.market).read().to_pylist()}
    for row in rows:
        assert [source["role"] for source in row["sources"]] == ["content", "pose"]
        content, pose = (by_digest[source["sha256"]] for source in row["sources"])
        assert content["identity"] == row["identity"] != pose["identity"]
        assert row["subject_keys"] == [subject_key("toy-market-like", one["identity"]) for one in (content, pose)]
        assert row["target"]["pose"] == pose["image_sha256"]
        donor = known.get(pose["image_sha256"])
        assert donor is not None
        assert donor.keypoints is not None
        scale = np.array([row["width"] / pose["width"], row["height"] / pose["height"], 1.0])
        assert np.allclose(keypoint_array(row["keypoints"]), donor.keypoints * scale, atol=1e-3)
        assert row["mask"] is None
        assert row["quality"]["foreground_change"] is None


@pytest.mark.parametrize("rule", [None, "one_hot"])
def test_a_pose_and_a_mask_alone_show_nobody_but_by_their_label(
    rule: str | None, toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    settings = settings_of("pix2pix", limit=4, label_rule=rule)
    job = prepare_synthesis(toy_sources.market, None, trained("pix2pix"), settings, annotations_uri=toy_annotations)
    rows = made(job, tmp_path / "set").read().to_pylist()
    by_digest = {row["image_sha256"]: row for row in open_dataset(toy_sources.market).read().to_pylist()}
    assert len({row["sources"][0]["sha256"] for row in rows}) == len(rows) == 4
    for row in rows:
        assert [source["role"] for source in row["sources"]] == ["pose"]
        pose = by_digest[row["sources"][0]["sha256"]]
        assert (row["split"], row["camera"], row["target"]["pose"]) == (pose["split"], None, pose["image_sha256"])
        assert row["subject_keys"] == [subject_key("toy-market-like", pose["identity"])]
        assert row["mask"] is not None
        number = job.plan.classes.number(pose["identity"])
        if rule is None:  # The pose is somebody's, the clothes are nobody's.
            assert (row["identity"], row["hard_label"], row["label_rule"]) == (None, -1, "lsro")
            assert (row["soft_label"], row["soft_label_rest"]) == ([], pytest.approx(1 / len(job.plan.classes)))
        else:
            assert (row["identity"], row["hard_label"], row["label_rule"]) == (pose["identity"], number, rule)


def test_one_camera_to_another(
    toy_sources: ToySources, toy_annotations: str, cameras: tuple[int, ...], tmp_path: Path
) -> None:
    first, second = cameras[:2]
    save_tiny(tmp_path / "g", "pix2pix_cameras", source_camera=first, target_camera=second)
    inputs = toy_sources.market, None, str(tmp_path / "g")
    with pytest.raises(UserError, match=f"->{second}: train that pair, or leave the camera out"):
        prepare_synthesis(*inputs, CameraSettings(source_cameras=list(cameras)), annotations_uri=None)
    job, asked = (
        prepare_synthesis(*inputs, settings_of("camstyle", source_cameras=some), annotations_uri=toy_annotations)
        for some in (None, [first])
    )
    assert job.plan.plan_id == asked.plan.plan_id, "by default the images that the generator reads"
    rows = made(job, tmp_path / "set").read().to_pylist()
    assert {row["camera"] for row in rows} == {second}
    # Its pairs are of near poses only: where the person stands is not known.
    assert {(row["mask"], row["quality"]["foreground_change"]) for row in rows} == {(None, None)}


def test_rows_are_called_after_the_place_that_is_asked_for_or_was_learned(
    toy_sources: ToySources, tmp_path: Path
) -> None:
    digest = save_tiny(tmp_path / "g", "cyclegan")

    def prepared(target: str | None, *learned: str) -> Synthesis:
        card = {"sha256": {"generator": digest}, "data": {"source": {}, "target": {"domains": learned}}}
        (tmp_path / "g" / "generator.json").write_text(json.dumps(card))
        return prepare_synthesis(
            toy_sources.market, target, str(tmp_path / "g"), settings_of("cyclegan"), annotations_uri=None
        )

    assert prepared(None).inputs.target_domain == "market-like", "nobody says another"
    job = prepared(None, "ours")
    assert {(row["domain"], row["target"]["domain"]) for row in made(job, tmp_path / "set").read().to_pylist()} == {
        ("ours", "ours")
    }
    plans = [prepared(toy_sources.duke, *learned) for learned in ((), ("ours",))]
    assert [job.inputs.domain for job in plans] == ["duke-like"] * 2, "who names a target says what rows are called"
    assert plans[0].plan.plan_id == plans[1].plan.plan_id


def test_canonical_poses_are_the_generators(toy_sources: ToySources, trained: Trained, tmp_path: Path) -> None:
    job = prepare_synthesis(toy_sources.market, None, trained("pngan"), settings_of("pngan"), annotations_uri=None)
    rows = made(job, tmp_path / "set").read().to_pylist()
    assert Counter(row["target"]["pose"] for row in rows) == {f"class {number}": 2 for number in range(8)}
    for row in rows:
        number = int(row["target"]["pose"].removeprefix("class "))
        expected = np.array(standing_poses()[number]) * (row["width"], row["height"])
        assert np.allclose(keypoint_array(row["keypoints"])[:, :2], expected, atol=1e-3)
        assert [source["role"] for source in row["sources"]] == ["content"]


def test_sizes_that_a_generator_cannot_make_are_refused(toy_sources: ToySources, trained: Trained) -> None:
    inputs, size = (toy_sources.market, None, trained("pix2pix")), {"height": 68, "width": 36}
    with pytest.raises(UserError, match="sides are multiples of 16, not 68 x 36: see --height and --width"):
        prepare_synthesis(*inputs, settings_of("pix2pix", **size), annotations_uri=None)


def test_what_noise_cannot_have_is_refused(toy_sources: ToySources, trained: Trained) -> None:
    for changes, message in (({"label_rule": "lsr"}, "show nobody"), ({"height": 128}, "makes 64 x 32 images")):
        settings = settings_of("gan_lsro", **changes)
        with pytest.raises(UserError, match=message):
            prepare_synthesis(toy_sources.market, None, trained("gan_lsro"), settings, annotations_uri=None)


def test_the_asked_pose_is_looked_for(toy_sources: ToySources, trained: Trained, tmp_path: Path) -> None:
    settings = settings_of("pngan", limit=1, score_pose=True)
    job = prepare_synthesis(
        toy_sources.market, None, trained("pngan"), settings, annotations_uri=None, pose_model="pose_tiny"
    )
    errors = made(job, tmp_path / "set").scan().select(pl.col("quality").struct.field("pose_error")).collect()
    assert errors["pose_error"].is_between(0.02, 1).all()  # noise shows nobody: the joints are found somewhere
    blind = prepare_synthesis(
        toy_sources.market, None, trained("pngan"), settings_of("pngan", limit=1), annotations_uri=None
    )
    assert blind.plan.settings_sha256 != job.plan.settings_sha256


FLOW_KINDS = {"domains": "cyclegan", "cameras": "camstyle", "poses": "pngan", "people": "cgan"}
"""For each kind, a recipe whose settings a personflow generator takes there."""


@pytest.mark.parametrize("like", FLOW_KINDS.values(), ids=FLOW_KINDS)
def test_one_flow_serves_every_kind(
    like: str, toy_sources: ToySources, toy_annotations: str, trained: Trained, cameras: tuple[int, ...], tmp_path: Path
) -> None:
    sets = []
    for number, changes in enumerate(({}, {"shard_size": 3}, {"flow_steps": 1})):
        settings = settings_of(like, **changes)
        annotations = None if like == "cgan" else toy_annotations
        job = prepare_synthesis(toy_sources.market, None, trained("personflow"), settings, annotations_uri=annotations)
        assert job.settings.flow_steps == changes.get("flow_steps", 4)
        sets.append(made(job, tmp_path / str(number)))
    whole, recut, one_step = (pixels(dataset) for dataset in sets)
    assert whole == recut
    assert not set(whole.values()) & set(one_step.values())
    assert not set(whole) & set(one_step), "how many steps is part of the plan"
    rows = sets[0].read().to_pylist()
    assert {row["recipe"] for row in rows} == {"personflow"}
    assert {bool(row["sources"]) for row in rows} == {like != "cgan"}
    assert {row["label_rule"] for row in rows} == {"lsro" if like == "cgan" else "lsr"}
    assert {row["camera"] for row in rows} <= set(cameras)
    if like == "pngan":
        assert {row["target"]["pose"] for row in rows} == {f"class {number}" for number in range(8)}


def test_a_flow_begins_where_it_is_asked_to(
    toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    """From three quarters on, what noise does is small: the images lie nearer to their sources."""
    changed = []
    for start in (0.0, 0.75):
        settings = settings_of("camstyle", flow_start=start)
        job = prepare_synthesis(
            toy_sources.market, None, trained("personflow"), settings, annotations_uri=toy_annotations
        )
        quality = made(job, tmp_path / str(start)).scan().select(pl.col("quality").struct.field("background_change"))
        changed.append(quality.mean().collect().item())
    assert changed[1] < changed[0]


@pytest.mark.parametrize(
    ("recipe", "changes", "said"),
    [
        ("cyclegan", {"flow_steps": 2}, "--flow-steps means nothing to a cyclegan generator"),
        (
            "personflow",
            {"flow_start": 0.3},
            r"^--flow-start 0.3 is no multiple of 1/4, the length of a step: see --flow-steps$",
        ),
    ],
)
def test_what_a_generator_cannot_be_asked(
    recipe: str, changes: dict[str, object], said: str, toy_sources: ToySources, toy_annotations: str, trained: Trained
) -> None:
    with pytest.raises(UserError, match=said):
        prepare_synthesis(
            toy_sources.market,
            None,
            trained(recipe),
            settings_of("cyclegan", **changes),
            annotations_uri=toy_annotations,
        )


def test_a_flow_of_one_place_makes_no_other(toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, "personflow", cameras=(1, 2), canonical_poses=standing_poses())
    with pytest.raises(UserError, match="knows no other place: train it with --target URI too"):
        prepare_synthesis(
            toy_sources.market, None, str(tmp_path), settings_of("cyclegan"), annotations_uri=toy_annotations
        )


def test_a_flow_that_learned_no_poses_makes_none(toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, "personflow", cameras=(1, 2), canonical_poses=standing_poses(), itself_share=1.0)
    with pytest.raises(UserError, match="has learned no poses: train it with an --itself-share below 1"):
        prepare_synthesis(
            toy_sources.market, None, str(tmp_path), settings_of("pngan"), annotations_uri=toy_annotations
        )


def test_a_flow_that_learned_poses_alone_makes_no_other_cameras(
    toy_sources: ToySources, toy_annotations: str, cameras: tuple[int, ...], tmp_path: Path
) -> None:
    """Another place it can make, which is learned from images that are their own reference."""
    known = {"cameras": cameras, "target_cameras": (7, 8), "canonical_poses": standing_poses()}
    save_tiny(tmp_path / "poses", "personflow", itself_share=0.0, **known)
    save_tiny(tmp_path / "both", "personflow", itself_share=0.1, **known)

    def rows(generator: str, like: str) -> int:
        uri, settings = str(tmp_path / generator), settings_of(like)
        return prepare_synthesis(toy_sources.market, None, uri, settings, annotations_uri=toy_annotations).plan.num_rows

    with pytest.raises(UserError, match=r"has learned no other cameras: train it with an --itself-share above 0$"):
        rows("poses", "camstyle")
    assert rows("both", "camstyle")
    assert rows("poses", "cyclegan")
    assert rows("poses", "pngan")
