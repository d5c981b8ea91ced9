"""Rows inherit the strictest terms of all that went in: images, the target, the generator's data, a teacher's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.checking.validate import validate
from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.merge import merge
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.common.digests import plan_digest
from pipeline.reid.model import save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.synthesis.remaking import remake
from tests.conftest import ToySources
from tests.pipeline.tiny_generators import SIZE, save_tiny, standing_poses
from tests.pipeline.tiny_synthesis import made, pixels, settings_of

SOME = (("CC-BY-4.0", "informed consent"), ("CC-BY-NC-4.0", "legitimate interest"), (None, None))
FREE = {"licences": ["MIT"], "consent_bases": ["shows nobody"]}
Brought = Callable[..., str]


@pytest.fixture
def brought(toy_sources: ToySources, tmp_path: Path) -> Brought:
    """A source manifest whose training people are, in turn, under the ``terms``."""

    def _brought(terms: Sequence[tuple[str | None, str | None]], name: str = "source") -> str:
        rows = open_dataset(toy_sources.market).read().to_pylist()
        people = sorted({row["identity"] for row in rows if row["identity"] and row["split"] == "train"})
        for row in rows:
            number = people.index(row["identity"]) if row["identity"] in people else 0
            row["licence"], row["consent_basis"] = terms[number % len(terms)]
            row["dataset_id"] = f"{row['licence']}"
        table = pa.Table.from_pylist(rows, schema=open_dataset(toy_sources.market).read().schema)
        uri = str(tmp_path / name)
        run = DatasetRun.start(uri, "source", plan_digest("test", {}, [uri]), {0: table.num_rows})
        run.sink.commit(0, table)
        run.close()
        return uri

    return _brought


def trained(folder: Path, recipe: str, data: dict[str, Any] | None = None, **settings: Any) -> str:
    """A tiny generator, with a card that says what it learned from."""
    sha256 = save_tiny(folder, recipe, **settings)
    card = {"sha256": {"generator": sha256}, "licence": "as the training data allow", "data": data or {"source": FREE}}
    (folder / "generator.json").write_text(json.dumps(card))
    return str(folder)


def terms_by(dataset: Dataset) -> set[tuple[tuple[str, ...], str, str]]:
    """Licence and consent of the rows by the data sets that their images are of."""
    assert validate(dataset.uri).faults == []
    rows = dataset.read(["sources", "licence", "consent_basis"]).to_pylist()
    return {(tuple(one["dataset_id"] for one in row["sources"]), row["licence"], row["consent_basis"]) for row in rows}


def test_the_terms_of_its_own_image(brought: Brought, tmp_path: Path) -> None:
    generator = trained(tmp_path / "g", "cyclegan")
    job = prepare_synthesis(brought(SOME), None, generator, settings_of("cyclegan", limit=20), annotations_uri=None)
    assert terms_by(made(job, tmp_path / "set")) == {
        (("CC-BY-4.0",), "CC-BY-4.0", "informed consent"),
        (("CC-BY-NC-4.0",), "CC-BY-NC-4.0", "legitimate interest"),
        (("None",), "unstated", "unstated"),
    }


def test_of_the_image_whose_pose_it_has(brought: Brought, toy_annotations: str, tmp_path: Path) -> None:
    generator = trained(tmp_path / "g", "pngan", canonical_poses=standing_poses())
    settings = settings_of("pngan", poses="data", poses_per_image=5, limit=20)
    job = prepare_synthesis(brought(SOME[:2]), None, generator, settings, annotations_uri=toy_annotations)
    found = terms_by(made(job, tmp_path / "set"))
    assert {("CC-BY-4.0", "CC-BY-NC-4.0"), ("CC-BY-NC-4.0", "CC-BY-4.0")} <= {sets for sets, _, _ in found}
    for sets, licence, basis in found:
        strict = "CC-BY-NC-4.0" in sets
        assert (licence, basis) == (SOME[1] if strict else SOME[0])


def test_of_the_target_and_of_what_the_generator_learned_from(
    brought: Brought, toy_sources: ToySources, tmp_path: Path
) -> None:
    learned = {"source": FREE, "target": {"licences": ["ODbL-1.0"], "consent_bases": ["opt-in"]}}
    generator = trained(tmp_path / "g", "cyclegan", learned)
    source, target = brought(SOME[:1]), brought([("research only", "public interest")], "target")
    job = prepare_synthesis(source, None, generator, settings_of("cyclegan"), annotations_uri=None)
    assert terms_by(made(job, tmp_path / "a")) == {(("CC-BY-4.0",), "ODbL-1.0", "informed consent AND opt-in")}
    job = prepare_synthesis(source, target, generator, settings_of("cyclegan"), annotations_uri=None)
    assert terms_by(made(job, tmp_path / "b")) == {(("CC-BY-4.0",), "ODbL-1.0 AND research only", "public interest")}


def test_of_a_generator_of_which_nothing_is_known(brought: Brought, tmp_path: Path) -> None:
    generator = trained(tmp_path / "g", "gan_lsro")
    (tmp_path / "g" / "generator.json").unlink()
    job = prepare_synthesis(brought(SOME), None, generator, settings_of("gan_lsro"), annotations_uri=None)
    assert terms_by(made(job, tmp_path / "set")) == {((), "unstated", "unstated")}


def test_of_what_the_teacher_learned_from(brought: Brought, tmp_path: Path) -> None:
    source = brought([("MIT", "shows nobody")])
    generator = trained(tmp_path / "g", "gan_lsro")
    plain = prepare_synthesis(source, None, generator, settings_of("gan_lsro"), annotations_uri=None)
    teacher = tmp_path / "reid" / "reid.safetensors"
    teacher.parent.mkdir()
    classes = plain.plan.classes
    save_reid(teacher, build_network(NetworkSettings(channels=4), len(classes)), *SIZE, classes)
    asked = settings_of("gan_lsro", label_rule="teacher", teacher=str(teacher))
    job = prepare_synthesis(source, None, generator, asked, annotations_uri=None)
    card = {"sha256": job.teacher_sha256, "licence": "CC-BY-NC-4.0"}
    card["data"] = {"market": {"licences": ["CC-BY-NC-4.0"], "consent_bases": ["consent withdrawn"]}}
    (teacher.parent / "reid.json").write_text(json.dumps(card))
    job = prepare_synthesis(source, None, generator, asked, annotations_uri=None)
    assert terms_by(made(job, tmp_path / "taught")) == {((), "CC-BY-NC-4.0", "consent withdrawn")}
    assert terms_by(made(plain, tmp_path / "plain")) == {((), "MIT", "shows nobody")}


def test_other_terms_make_another_plan_of_the_same_images(brought: Brought, tmp_path: Path) -> None:
    """A run that was stopped is not gone on with under other terms; what stays after a merge says its own."""
    source, generator = brought(SOME[:1]), trained(tmp_path / "g", "cyclegan")
    free = prepare_synthesis(source, None, generator, settings_of("cyclegan"), annotations_uri=None)
    again = prepare_synthesis(source, None, generator, settings_of("cyclegan"), annotations_uri=None)
    assert free.plan.plan_id == again.plan.plan_id
    first = made(free, tmp_path / "free")
    trained(tmp_path / "g", "cyclegan", {"source": {**FREE, "licences": ["withdrawn"]}})
    bound = prepare_synthesis(source, None, generator, settings_of("cyclegan"), annotations_uri=None)
    assert bound.plan.plan_id != free.plan.plan_id
    second = made(bound, tmp_path / "bound")
    assert pixels(first) == pixels(second)
    assert {one.outcome for one in remake(second, list(pixels(second)))} == {"identical"}
    other = prepare_synthesis(source, None, generator, settings_of("cyclegan", seed=1), annotations_uri=None)
    union = merge([first.uri, made(other, tmp_path / "other").uri], str(tmp_path / "union"))
    assert {licence for _, licence, _ in terms_by(union)} == {"CC-BY-4.0", "withdrawn"}
