"""`jobs/train_reid.py` from a manifest to a measured network, and what a user reads when something is missing."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import pytest

import jobs.train_reid as job
from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from pipeline.common.settings import parse_settings
from pipeline.reid.batches import LabelledBatches
from pipeline.reid.data import stream_people
from pipeline.reid.model import load_reid
from pipeline.reid.retrieval import evaluate_on
from pipeline.reid.sets import load_sets
from pipeline.training.data import Columns
from tests.manifests.people_rows import people_synthetic, write
from tests.pipeline.training.in_processes import train_in_processes

if TYPE_CHECKING:
    from tests.conftest import ToySources


def arguments(source: str, output: Path, *more: str) -> list[str]:
    sizes = ["--height", "64", "--width", "32", "--channels", "4", "--batch-size", "4", "--threads", "1"]
    return ["--train", source, "--output", str(output), *sizes, *more]


def run(given: list[str]) -> None:
    assert job.main(parse_settings(job.Settings, given)) == 0


def test_from_a_manifest_to_a_measured_network(
    toy_sources: ToySources, toy_people: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(arguments(toy_sources.market, tmp_path, "--steps", "3", "--eval", toy_sources.market, "--count-same-camera"))
    model = load_reid(tmp_path)
    card = json.loads((tmp_path / "reid.json").read_text())
    assert card["sha256"] == model.sha256
    assert card["data"][toy_sources.market]["images"] == toy_people
    assert card["data"][toy_sources.market]["manifest_sha256"] == open_dataset(toy_sources.market).digest()
    assert card["metrics"]["rank1"] == evaluate_on(model, toy_sources.market, count_same_camera=True).rank1
    assert card["metrics"]["count_same_camera"] is True
    assert f"{toy_sources.market}: rank1 " in capsys.readouterr().out
    frame = open_dataset(toy_sources.market).scan().collect()
    trained = frame.filter((frame["split"] == "train") & (frame["role"] == "person"))
    assert model.classes is not None
    assert set(model.classes.identities) == set(trained["identity"])


def test_labels_and_people_are_those_of_the_manifest(toy_sources: ToySources) -> None:
    sets = load_sets([toy_sources.market], 64, 32)
    targets = sets.images.targets
    frame = open_dataset(toy_sources.market).scan().collect()
    trained = frame.filter((frame["split"] == "train") & (frame["role"] == "person"))
    assert [sets.classes.identities[number] for number in targets.argmax(axis=1)] == trained["identity"].to_list()
    assert (targets.sum(axis=1) == 1).all()
    people = dict(stream_people(toy_sources.market, ("query", "gallery"), 64, 32))
    gallery = frame.filter(frame["split"] == "gallery")
    for role, number in (("junk", -1), ("distractor", 0)):
        assert (people["gallery"].identities == number).tolist() == (gallery["role"] == role).to_list()
    assert set(people["query"].identities) <= set(people["gallery"].identities)
    assert np.array_equal(people["gallery"].cameras, gallery["camera"].to_numpy())


def write_made(toy_sources: ToySources, folder: Path) -> Dataset:
    """Three generated images of people of the market."""
    rows = open_dataset(toy_sources.market).read()
    people = rows.filter(pc.and_(pc.equal(rows["split"], "train"), pc.equal(rows["role"], "person")))
    classes = ClassMap.of(people["identity"].to_pylist())
    return write(str(folder), "synthetic", people_synthetic(people.slice(0, 3), classes), classes=classes)


def test_several_sets_in_the_mix_asked_for(toy_sources: ToySources, tmp_path: Path) -> None:
    made = write_made(toy_sources, tmp_path / "made")
    both = f"{toy_sources.market},{made.uri}"
    run(arguments(both, tmp_path / "both", "--steps", "2", "--mix", "two_means"))
    card = json.loads((tmp_path / "both" / "reid.json").read_text())
    assert set(card["data"]) == {toy_sources.market, made.uri}
    assert card["data"][made.uri]["images"] == 3
    assert (card["training"]["mix"], card["training"]["flip"]) == ("two_means", 0.5)
    assert load_reid(tmp_path / "both").classes == made.classes
    with pytest.raises(UserError, match="was started with mix=two_means, now it is shuffled"):
        run(arguments(both, tmp_path / "both", "--steps", "2"))
    with pytest.raises(UserError, match="the training sets hold no generated ones"):
        run(arguments(toy_sources.market, tmp_path / "out", "--mix", "two_means"))
    assert not (tmp_path / "out").exists()


def test_two_stages_in_one_training(toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated images, then real ones: one schedule and one record, stopped in either stage and taken up again."""
    both = f"{toy_sources.market},{write_made(toy_sources, tmp_path / 'made').uri}"
    stages = ["--steps", "4", "--real-from", "0.5", "--synthetic-until", "0.5", "--checkpoint-every", "1"]
    seen: list[tuple[int, set[int]]] = []
    stops: set[int] = set()
    whole = LabelledBatches.batch

    def watched(batches: LabelledBatches, step: int, size: int) -> Columns:
        if step in stops:
            stops.clear()
            raise KeyboardInterrupt
        batch = whole(batches, step, size)
        seen.append((step, set(batch["generated"].tolist())))
        return batch

    monkeypatch.setattr(LabelledBatches, "batch", watched)
    run(arguments(both, tmp_path / "unbroken", *stages))
    assert seen == [(0, {1}), (1, {1}), (2, {0}), (3, {0})]
    card = json.loads((tmp_path / "unbroken" / "reid.json").read_text())
    assert (card["training"]["real_from"], card["training"]["synthetic_until"], card["steps"]) == (0.5, 0.5, 4)
    for stop in (1, 3):
        folder = tmp_path / f"stopped after {stop}"
        stops.add(stop)
        with pytest.raises(KeyboardInterrupt):
            run(arguments(both, folder, *stages))
        seen.clear()
        run(arguments(both, folder, *stages))
        assert [step for step, _ in seen] == list(range(stop, 4))
        assert load_reid(folder).sha256 == card["sha256"]


def test_a_network_starts_from_another(toy_sources: ToySources, tmp_path: Path) -> None:
    run(arguments(toy_sources.market, tmp_path / "a", "--steps", "2"))
    start = ["--steps", "1", "--learning-rate", "1e-9", "--start-from", str(tmp_path / "a")]
    both = f"{toy_sources.market},{toy_sources.duke}"
    run(arguments(both, tmp_path / "b", *start))
    first, second = load_reid(tmp_path / "a"), load_reid(tmp_path / "b")
    assert (first.network.classes, second.network.classes) == (3, 6)
    for name in ("stem.0.weight", "stages.3.1.conv2.weight", "neck.weight"):
        before, after = (model.network.state_dict()[name].numpy() for model in (first, second))
        assert after == pytest.approx(before, abs=1e-7)
    card, earlier = (json.loads((tmp_path / one / "reid.json").read_text()) for one in ("b", "a"))
    assert card["training"]["start_from_sha256"] == first.sha256
    # The people of the first are in the second's weights as well.
    inherited = card["data"][f"{toy_sources.market} by {first.sha256[:12]}"]
    assert inherited["subjects"] == earlier["data"][toy_sources.market]["subjects"]
    with pytest.raises(UserError, match=r"--start-from .* with channels 4, not 8: take the same --channels"):
        run([*arguments(toy_sources.duke, tmp_path / "c", *start), "--channels", "8"])
    with pytest.raises(UserError, match="both say what to start from"):
        run(arguments(toy_sources.duke, tmp_path / "c", *start, "--pretrained", "resnet.pth"))
    assert not (tmp_path / "c").exists()


@pytest.mark.usefixtures("forkserver")
def test_two_workers_train_one_network(
    toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "train_on_workers", train_in_processes)  # on Ray: a generator, in test_train_generator
    monkeypatch.setattr(job, "ray_session", lambda *_, **__: nullcontext())
    more = ["--steps", "2", "--workers", "2", "--precision", "float32", "--eval", toy_sources.market]
    run(arguments(toy_sources.market, tmp_path, *more))
    card = json.loads((tmp_path / "reid.json").read_text())
    assert card["workers"] == 2
    assert card["steps"] == 2
    assert card["metrics"]["rank1"] == evaluate_on(load_reid(tmp_path), toy_sources.market).rank1
    with pytest.raises(UserError, match="was started with workers=2, now it is 1"):
        run(arguments(toy_sources.market, tmp_path, "--steps", "2", "--precision", "float32"))
    with pytest.raises(UserError, match="--batch-size 4 cannot be shared by 3 workers"):
        run(arguments(toy_sources.market, tmp_path / "out", "--workers", "3"))


def test_mistakes_are_one_line(toy_sources: ToySources, toy_annotations: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set at"):
        run(arguments(str(tmp_path / "nothing"), tmp_path / "out"))
    with pytest.raises(UserError, match="holds annotation rows, source rows are needed: see --eval"):
        run(arguments(toy_sources.market, tmp_path / "out", "--eval", toy_annotations))
    with pytest.raises(UserError, match="--count-same-camera says how --eval is counted: name it"):
        run(arguments(toy_sources.market, tmp_path / "out", "--count-same-camera"))
    with pytest.raises(UserError, match="--device: String should match pattern"):
        parse_settings(job.Settings, arguments("a", tmp_path, "--device", "gpu"))
    pairs = ["--triplet-weight", "1", "--identities-per-batch", "2"]
    with pytest.raises(UserError, match="leaves 4 images for them"):
        run(arguments(toy_sources.market, tmp_path / "out", *pairs))
    with pytest.raises(UserError, match="--channels are resnet18's: leave them out with --backbone resnet50"):
        parse_settings(job.Settings, arguments("a", tmp_path, "--backbone", "resnet50"))
    with pytest.raises(UserError, match="--identities-per-batch is of the triplet loss, which is off"):
        parse_settings(job.Settings, arguments("a", tmp_path, "--identities-per-batch", "2"))
    with pytest.raises(UserError, match="--train is required"):
        parse_settings(job.Settings, ["--output", str(tmp_path)])
    assert not (tmp_path / "out").exists()
