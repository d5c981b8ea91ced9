from __future__ import annotations

import importlib.util
import json
import pickle
import re
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from manifests.errors import UserError
from pipeline.checkpoints import (
    CHECKPOINTS,
    file_sha256,
    load_metadata,
    load_state,
    locate,
    resolve,
    save_state,
    ship,
    table,
)
from pipeline.checkpoints.__main__ import main

STATE = {"head.weight": torch.arange(6.0).reshape(2, 3), "head.steps": torch.tensor(7)}


def same(state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor] = STATE) -> bool:
    return state.keys() == expected.keys() and all(torch.equal(state[key], expected[key]) for key in state)


def zoo() -> dict[str, dict[str, Any]]:
    """The models of the metafiles that the installed mmpose brings, by configuration."""
    spec = importlib.util.find_spec("mmpose")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / ".mim"
    files = sorted((folder / "configs/body_2d_keypoint").rglob("*.yml"))
    models = [model for file in files for model in yaml.safe_load(file.read_text("utf-8"))["Models"]]
    return {model["Config"]: model for model in models if (folder / model["Config"]).is_file()}


class TestTable:
    def test_mmpose_entries_are_those_of_the_installed_package(self) -> None:
        models = zoo()
        ours = [entry for entry in CHECKPOINTS.values() if entry.format == "mmpose" and entry.url]
        assert len(ours) == 8
        for entry in ours:
            assert entry.config is not None
            assert models[entry.config]["Weights"] == entry.url
            assert entry.sha256.startswith(re.findall(r"-([0-9a-f]{8})_\d{8}\.pth$", entry.url or "")[0])
            assert "256x192" in entry.config

    @pytest.mark.parametrize("variant", ["h", "l", "b"])
    def test_segment_anything_entries_are_whole_digests_of_the_official_files(self, variant: str) -> None:
        entry = CHECKPOINTS[f"sam_vit_{variant}"]
        assert len(entry.sha256) == 64
        assert str(entry.url).startswith(f"https://dl.fbaipublicfiles.com/segment_anything/sam_vit_{variant}_")
        # Four bytes a parameter and the archive's own: published parameter counts are 636, 308 and 91 million.
        assert entry.size_bytes is not None
        assert entry.size_bytes / 4e6 == pytest.approx({"h": 641, "l": 312, "b": 93.7}[variant], rel=0.01)

    def test_shipped_files_are_what_their_cards_say(self) -> None:
        cards = sorted(table.WEIGHTS_FOLDER.glob("*.json"))
        weights = sorted(table.WEIGHTS_FOLDER.glob("*.safetensors"))
        assert [file.stem for file in cards] == [file.stem for file in weights]
        for file in weights:
            assert resolve(file.stem) == file
            assert load_state(file)

    def test_a_shipped_checkpoint_is_two_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(CHECKPOINTS, "tiny", None)  # restored afterwards
        ship(
            "tiny",
            STATE,
            format="generator",
            licence="Apache-2.0",
            trained_on="the toy world",
            command="python jobs/train.py --seed 1",
            metrics={"psnr": 21.5},
            metadata={"width": "96"},
            folder=tmp_path,
        )
        assert sorted(file.name for file in tmp_path.iterdir()) == ["tiny.json", "tiny.safetensors"]
        assert json.loads((tmp_path / "tiny.json").read_text())["metrics"] == {"psnr": 21.5}
        assert same(load_state(resolve("tiny")))
        assert table.shipped(tmp_path)["tiny"] == CHECKPOINTS["tiny"]

        (tmp_path / "tiny.safetensors").write_bytes(b"0" * 99)
        with pytest.raises(UserError, match="not what it should be: expected SHA-256"):
            resolve("tiny")
        (tmp_path / "tiny.safetensors").unlink()
        with pytest.raises(UserError, match="shipped checkpoint tiny is missing"):
            resolve("tiny")

    @pytest.mark.parametrize(
        ("change", "message"),
        [({"sha256": "12"}, "sha256"), ({"name": "other"}, "must name its own file"), ({"date": "today"}, "date")],
    )
    def test_a_bad_card_is_named(self, tmp_path: Path, change: dict[str, str], message: str) -> None:
        card = {"name": "a", "format": "generator", "sha256": "0" * 64, "licence": "x", "trained_on": "y"}
        card |= {"command": "z", **change}
        (tmp_path / "a.json").write_text(json.dumps({**card, "metrics": {}}))
        with pytest.raises(UserError, match=message):
            table.shipped(tmp_path)


class TestResolve:
    def test_paths_and_file_uris(self, tmp_path: Path) -> None:
        path = tmp_path / "with space.safetensors"
        save_state(STATE, path)
        assert resolve(path) == resolve(str(path)) == resolve(path.as_uri()) == path
        assert resolve(f"{path.as_uri()}#sha256={file_sha256(path)[:12]}") == path
        with pytest.raises(UserError, match="expected SHA-256 00000000"):
            resolve(f"{path.as_uri()}#sha256=00000000")
        assert path.exists()  # the user's own file: never removed

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("sam_vit_x", "unknown checkpoint 'sam_vit_x'; did you mean sam_vit_"),
            ("zzz", "known: sam_vit_h, .*vitpose-b"),
            ("folder/none", "no checkpoint file at folder/none"),
            ("none.pth", "no checkpoint file at none.pth"),
            ("file:///none.pth", "no checkpoint file at /none.pth"),
            ("file://host/none.pth", "names the host 'host'"),
            (".", "no checkpoint file at"),
        ],
    )
    def test_what_is_not_there(self, text: str, message: str) -> None:
        with pytest.raises(UserError, match=message):
            resolve(text)

    def test_the_cache_moves_with_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = CHECKPOINTS["sam_vit_b"]
        monkeypatch.setenv("REID_SYNTH_CACHE", str(tmp_path / "own"))
        assert locate(entry) == tmp_path / "own/checkpoints/sam_vit_b_01ec64.pth"
        monkeypatch.delenv("REID_SYNTH_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert locate(entry) == tmp_path / "reid-synth/checkpoints/sam_vit_b_01ec64.pth"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert locate(entry) == Path.home() / ".cache/reid-synth/checkpoints/sam_vit_b_01ec64.pth"

    def test_the_digest_follows_the_content(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"abc")
        assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        path.write_bytes(b"abd")
        assert file_sha256(path) == "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9"

    def test_command_line_errors(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", "nobody"]) == 2
        assert main(["fetch", "nobody"]) == 2
        assert capsys.readouterr().err.count("error: unknown checkpoint 'nobody'") == 2
        with pytest.raises(SystemExit, match="2"):
            main(["fetch"])
        capsys.readouterr()
        assert main(["--json", "list"]) == main(["list", "--json"]) == 0
        out = capsys.readouterr().out
        listed = json.loads(out[: len(out) // 2])
        assert [row["name"] for row in listed] == list(CHECKPOINTS)


class TestSafetensors:
    def test_round_trip_gives_the_same_bytes_each_time(self, tmp_path: Path) -> None:
        metadata = {f"key{number}": str(number) for number in range(9)}
        tied = torch.ones(4, 4)
        tensors = {"a": tied, "b": tied, "c": torch.ones(3, 5).T, "d": torch.ones(2, requires_grad=True)}
        digests = set()
        for number in range(4):
            save_state(tensors, tmp_path / f"{number}.safetensors", metadata)
            digests.add(file_sha256(tmp_path / f"{number}.safetensors"))
        assert len(digests) == 1
        assert same(load_state(tmp_path / "0.safetensors"), tensors)
        assert load_metadata(tmp_path / "0.safetensors") == metadata

    @pytest.mark.filterwarnings("ignore:ComplexHalf")
    def test_a_failed_save_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        save_state(STATE, path)
        before = path.read_bytes()
        with pytest.raises(KeyError, match="complex32"):
            save_state({"a": torch.ones(2, dtype=torch.complex32)}, path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("change", ["cut", "header", "length"])
    def test_damage_is_refused(self, tmp_path: Path, change: str) -> None:
        path = tmp_path / "a.safetensors"
        save_state(STATE, path)
        content = path.read_bytes()
        longer = struct.pack("<Q", 1 << 40) + content[8:]
        path.write_bytes({"cut": content[:-1], "header": content.replace(b"F32", b"F99"), "length": longer}[change])
        with pytest.raises(UserError, match="is damaged"):
            load_state(path)


class TestTorch:
    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("wrap", ["none", "state_dict", "twice"])
    def test_state_dicts_plain_and_wrapped(self, tmp_path: Path, zipped: bool, wrap: str) -> None:
        content: Any = OrderedDict(STATE)
        if wrap != "none":
            content = {"state_dict": content, "epoch": 3, "hyper_parameters": {"lr": 1e-4}}
        if wrap == "twice":
            content = {"state_dict": content, "optimizer": {"state": {}}}
        torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        assert same(load_state(tmp_path / "a.pth"))

    def test_a_planted_payload_is_refused_and_does_not_run(self, tmp_path: Path) -> None:
        class Payload:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (tmp_path / "ran",)

        for zipped in (True, False):
            path = tmp_path / "payload.pth"
            content = {"state_dict": dict(STATE), "meta": Payload()}
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            with pytest.raises(UserError, match=r"holds more than tensors \(.*\): refused, nothing of it was run"):
                load_state(path)
            assert not (tmp_path / "ran").exists()
        torch.load(path, weights_only=False)
        assert (tmp_path / "ran").exists()  # the payload was a real one

    def test_the_stand_in_for_getattr_reaches_nothing(self, tmp_path: Path) -> None:
        """The real ``getattr`` would hand out what a class knows: here its ``__init__``, thus its module's globals."""
        owner = b"cmmengine.logging.history_buffer\nHistoryBuffer\n"
        name = b"X\x08\x00\x00\x00__init__"
        program = b"\x80\x02}X\x03\x00\x00\x00got" + b"c__builtin__\ngetattr\n(" + owner + name + b"tRs."
        path = tmp_path / "a.pth"
        torch.save({}, path, _use_new_zipfile_serialization=False)
        empty = pickle.dumps({}, protocol=2)
        content = path.read_bytes()
        assert content.count(empty) == 1
        path.write_bytes(content.replace(empty, program))
        with pytest.raises(UserError, match="'got' is NoneType, not a tensor"):
            load_state(path)

    @pytest.mark.parametrize("content", [b"", b"hello, world, this is text", b"PK\x03\x04 no archive", b"\x80\x02}."])
    def test_other_files_are_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "a.pth"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.pth is no checkpoint, or damaged"):
            load_state(path)

    def test_every_cut_is_noticed(self, tmp_path: Path) -> None:
        torch.save(dict(STATE), tmp_path / "a.pth")
        content = (tmp_path / "a.pth").read_bytes()
        for length in range(0, len(content), 97):
            (tmp_path / "cut.pth").write_bytes(content[:length])
            with pytest.raises(UserError):
                load_state(tmp_path / "cut.pth")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"a": 1}, "'a' is int, not a tensor"),
            ({"state_dict": {"a": torch.ones(1), "b": [1]}}, "'b' is list, not a tensor"),
            ({"state_dict": {}}, "holds no state dict"),
            ([torch.ones(1)], "holds no state dict .got list"),
        ],
    )
    def test_what_is_no_state_dict(self, tmp_path: Path, content: Any, message: str) -> None:
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(UserError, match=message):
            load_state(tmp_path / "a.pth")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="No such file"):
            load_state(tmp_path / "a.pth")
        with pytest.raises(UserError, match="Is a directory"):
            load_state(tmp_path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from mmengine.logging import HistoryBuffer, MessageHub

    hub = MessageHub("checkpoint_test")
    for value in (0.9, 0.5, 0.4):
        hub.update_scalar("train/loss", value)
    hub.update_info("loop_stage", "train")
    hub.update_info("best", np.float64(0.75))
    sigmas = np.array([0.026, 0.025], dtype=np.float32)
    content = {
        "meta": {
            "epoch": 420,
            "experiment_name": "body",
            "dataset_meta": {"sigmas": sigmas, "flip": np.arange(17), "names": np.array(["nose"])},
            "score": np.float32(0.5),
        },
        "state_dict": OrderedDict(STATE),
        "message_hub": hub.state_dict(),
        "history": HistoryBuffer([1.0, 2.0], [1, 1]),
    }
    folder = tmp_path_factory.mktemp("mmengine")
    torch.save(content, folder / "zipped.pth")
    torch.save(content, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    # The zoo's files were written by numpy 1, whose core had another name.
    older = (folder / "legacy.pth").read_bytes().replace(b"numpy._core.", b"numpy.core.")
    (folder / "numpy1.pth").write_bytes(older)
    return {path.stem: path for path in folder.iterdir()}


class TestMmengine:
    """Files as mmengine's runner and mmpose's tool for publishing leave them."""

    @pytest.mark.parametrize("kind", ["zipped", "legacy", "numpy1"])
    def test_are_read(self, saved: dict[str, Path], kind: str) -> None:
        with pytest.raises(pickle.UnpicklingError):  # torch alone refuses them
            torch.load(saved[kind], weights_only=True)
        assert same(load_state(saved[kind]))

    def test_are_read_without_mmengine(self, saved: dict[str, Path]) -> None:
        code = f"""
import sys
from pathlib import Path
from pipeline.checkpoints import load_state
print(len(load_state(Path({str(saved["numpy1"])!r}))), "mmengine" in sys.modules)"""
        ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert ran.stdout.split() == ["2", "False"]


def test_segment_anything_takes_what_is_loaded(tmp_path: Path) -> None:
    """The official files are plain state dicts of `Sam`; a small one of the package's own classes stands for them."""
    modeling = pytest.importorskip("segment_anything.modeling")

    def small(seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        encoder = modeling.ImageEncoderViT(
            img_size=64,
            patch_size=16,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=16,
            use_rel_pos=True,
            window_size=2,
        )
        prompts = modeling.PromptEncoder(16, (4, 4), (64, 64), mask_in_chans=4)
        transformer = modeling.TwoWayTransformer(depth=1, embedding_dim=16, num_heads=2, mlp_dim=32)
        decoder = modeling.MaskDecoder(transformer_dim=16, transformer=transformer)
        model: torch.nn.Module = modeling.Sam(encoder, prompts, decoder)
        return model

    trained, fresh = small(1), small(2)
    torch.save(trained.state_dict(), tmp_path / "sam_vit_small.pth")
    fresh.load_state_dict(load_state(tmp_path / "sam_vit_small.pth"), strict=True)
    assert same(dict(fresh.state_dict()), dict(trained.state_dict()))
