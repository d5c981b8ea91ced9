from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.checkpoints import CHECKPOINTS
from pipeline.model_cards import describe_model
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "JSON"),
        ("[[1]]", "JSON"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "JSON"),
        ('{"data": null}', "data"),
        ('{"data": {"source": "market"}}', r"data\.source"),
        ('{"licence": ["Apache-2.0"]}', "licence"),
    ],
)
def test_a_card_that_cannot_be_used(text: str, said: str, tmp_path: Path) -> None:
    sha256 = save_tiny(tmp_path, "cyclegan")
    (tmp_path / "generator.json").write_text(text)
    with pytest.raises(UserError, match=rf"^the card \S+generator\.json is not valid: {said}: .+$") as caught:
        describe_model(str(tmp_path), sha256)
    assert "\n" not in str(caught.value)


def test_a_card_that_is_a_folder(tmp_path: Path) -> None:
    sha256 = save_tiny(tmp_path, "cyclegan")
    (tmp_path / "generator.json").mkdir()
    with pytest.raises(UserError, match="cannot read the card"):
        describe_model(str(tmp_path), sha256)
