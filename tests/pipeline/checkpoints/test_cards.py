from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.checkpoints import CHECKPOINTS
from pipeline.checkpoints.cards import describe_model, learned_look
from tests.pipeline.tiny_generators import save_tiny


def test_a_shipped_model_by_its_name() -> None:
    known = CHECKPOINTS["ptgan_market_like_to_duke_like"]
    described = describe_model(known.name, known.sha256)
    assert described["uri"] == known.name
    assert (described["licence"], described["trained_on"]) == (known.licence, known.trained_on)


def test_a_trained_model_by_the_card_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = save_tiny(tmp_path / "g", "cyclegan")
    assert describe_model(str(tmp_path / "g"), sha256)["trained_on"] is None
    data = {"source": {"images": 12, "dataset_ids": ["market"], "subjects": ["ab" * 16], "subjects_digest": "cd" * 16}}
    card = {"sha256": {"generator": sha256, "generator_back": "0" * 64}, "licence": "CC-BY-4.0", "data": data}
    (tmp_path / "g" / "generator.json").write_text(json.dumps(card))
    monkeypatch.chdir(tmp_path)
    for asked in ("g", "g/generator.safetensors"):
        described = describe_model(asked, sha256)
        assert described["uri"] == str(tmp_path / asked)
        assert described["licence"] == "CC-BY-4.0"
        assert described["trained_on"]["source"]["images"] == 12
        assert "ab" * 16 not in json.dumps(described)
    # A card of other weights says nothing about these.
    assert describe_model("g", "1" * 64)["licence"] is None


def test_whose_look_a_generator_learned(tmp_path: Path) -> None:
    stems = "generator", "generator_back"
    digests = {stem: save_tiny(tmp_path, "cyclegan", seed, stem) for seed, stem in enumerate(stems)}
    assert learned_look(str(tmp_path), digests["generator"]) == []
    data = {"source": {"domains": ["market"]}, "target": {"domains": ["duke", "ours"]}}
    (tmp_path / "generator.json").write_text(json.dumps({"sha256": digests, "data": data}))
    assert learned_look(str(tmp_path), digests["generator"]) == ["duke", "ours"]
    assert learned_look(str(tmp_path / "generator_back.safetensors"), digests["generator_back"]) == ["market"]
    assert learned_look(str(tmp_path), "1" * 64) == []
    shipped = CHECKPOINTS["ptgan_market_like_to_duke_like"]
    assert learned_look(shipped.name, shipped.sha256) == []


def test_a_card_that_is_a_folder(tmp_path: Path) -> None:
    sha256 = save_tiny(tmp_path, "cyclegan")
    (tmp_path / "generator.json").mkdir()
    with pytest.raises(UserError, match="cannot read the card"):
        describe_model(str(tmp_path), sha256)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("[1]", "JSON: "),
        ("[" * 100_000, "JSON: "),
        ('{"sha256": 3}', r"sha256\."),
        ('{"licence": ["MIT"]}', "licence: "),
        ('{"data": null}', "data: "),
        ('{"data": ["market"]}', "data: "),
        ('{"data": {"source": "market"}}', "data.source: "),
        ('{"data": {"source": {"licences": 3}}}', "data.source.licences: "),
    ],
)
def test_a_card_that_is_none_is_a_line(card: str, said: str, tmp_path: Path) -> None:
    sha256 = save_tiny(tmp_path, "cyclegan")
    path = tmp_path / "generator.json"
    path.write_text(card)
    with pytest.raises(UserError, match=rf"^cannot read the card {path}: {said}[^\n]*$"):
        describe_model(str(tmp_path), sha256)
