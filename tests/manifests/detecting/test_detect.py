"""`python -m manifests detect`, as a person types it, over pictures that are and are not in a data set."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.reading.dataset import Dataset
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset
from tests.manifests.manifest_rows import PLAN_ID
from tests.manifests.signing.authority import write_chain

Picture = Image.Image


def painted(seed: int) -> Picture:
    """128 x 64 pixels of soft blots."""
    noise = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (16, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((64, 128), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def encoded(picture: Picture, image_format: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def paint(number: int, row: dict[str, Any]) -> None:
    data = encoded(painted(number), quality=95, subsampling=0)
    row["image"] = {"bytes": data, "path": f"{number}.jpg"}
    row |= {"image_sha256": hashlib.sha256(data).hexdigest(), "width": 64, "height": 128, "mask": None}


@pytest.fixture
def paintings(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set of 6 pictures in two shards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return synthetic_dataset(uri, paint, sizes=(4, 2))


Ask = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
        status = main(["detect", "--json", *map(str, arguments)])
        return status, json.loads(capsys.readouterr().out)

    return asked


def stored(dataset: Dataset, number: int) -> dict[str, Any]:
    row: dict[str, Any] = dataset.read().to_pylist()[number]
    return row


def test_the_file_itself_then_its_pixels(paintings: Dataset, tmp_path: Path, ask: Ask) -> None:
    row = stored(paintings, 4)
    (tmp_path / "a.jpg").write_bytes(row["image"]["bytes"])
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    status, answers = ask(tmp_path / "a.jpg", tmp_path / "a.png", "--in", paintings.uri)
    assert status == 0
    found = [one for answer in answers for one in answer["matches"]]
    assert [one["by"] for one in found] == ["bytes", "pixels"]
    assert {one["row"]["sample_id"] for one in found} == {row["sample_id"]}
    assert found[0]["row"]["plan_id"] == PLAN_ID
    assert found[0]["row"]["sources"] == row["sources"]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: encoded(picture, "JPEG", quality=50),
        lambda picture: encoded(picture, "WEBP", quality=60),
        lambda picture: encoded(picture.resize((32, 64)), "PNG"),
        lambda picture: encoded(picture.resize((128, 256)), "JPEG"),
        lambda picture: encoded(picture.crop((4, 9, 62, 124)), "JPEG", quality=80),
    ],
)
def test_copies_are_known(paintings: Dataset, tmp_path: Path, ask: Ask, change: Callable[[Picture], bytes]) -> None:
    row = stored(paintings, 5)
    (tmp_path / "copy").write_bytes(change(Image.open(io.BytesIO(row["image"]["bytes"]))))
    status, (answer,) = ask(tmp_path / "copy", "--in", paintings.uri)
    (found,) = answer["matches"]
    assert (status, found["by"], found["row"]["sample_id"]) == (0, "similar", row["sample_id"])
    assert 0 < found["difference"] < 8


def test_other_pictures_are_not(paintings: Dataset, tmp_path: Path, ask: Ask) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(painted(100 + number)))
    (tmp_path / "tiny.png").write_bytes(encoded(painted(3).resize((8, 15)), "PNG"))
    status, answers = ask(*tmp_path.glob("*.*g"), "--in", paintings.uri)
    assert status == 1
    assert [answer["generated"] for answer in answers] == [False] * 21


def test_marks_answer_without_a_data_set_and_name_a_row_of_one(
    paintings: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    assert main(["export", paintings.uri, "--to", "coco", "--output", str(tmp_path / "coco")]) == 0
    capsys.readouterr()
    row = stored(paintings, 0)
    exported = tmp_path / f"coco/images/train/{row['sample_id']}.jpg"
    status, (answer,) = ask(exported)
    assert (status, answer["generated"]) == (0, True)
    assert answer["marks"] == {"system": f"reid-synth, recipe {row['recipe']}", "sample_id": row["sample_id"]}
    assert ask(exported, "--in", paintings.uri)[1][0]["matches"][0]["by"] == "pixels"
    marked = exported.read_bytes()
    start = marked.index(b"\xff\xe1")
    other = encoded(painted(77))
    exported.write_bytes(
        other[:20] + marked[start : start + 2 + int.from_bytes(marked[start + 2 : start + 4])] + other[20:]
    )
    (found,) = ask(exported, "--in", paintings.uri)[1][0]["matches"]
    assert (found["by"], found["row"]["sample_id"]) == ("sample_id", row["sample_id"])


def test_signatures_in_the_file_and_beside(
    paintings: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    pytest.importorskip("c2pa")
    write_chain(tmp_path / "others")
    signing = [*write_chain(tmp_path / "lab"), "--sign-each"]
    assert main(["export", paintings.uri, "--to", "market1501", "--output", str(tmp_path / "out"), *signing]) == 0
    capsys.readouterr()
    picture = next((tmp_path / "out/bounding_box_train").iterdir())
    _, (answer,) = ask(picture, "--trust", tmp_path / "lab/root.pem")
    inside, beside = answer["signatures"]
    assert [(one["holds"], one["trusted"], one["name"]) for one in (inside, beside)] == [(True, True, "Signer")] * 2
    assert inside["about"] == answer["marks"]["sample_id"]
    assert beside["about"] == f"urn:reid-synth:dataset:{paintings.digest()}"
    _, (answer,) = ask(picture, "--trust", tmp_path / "others/root.pem")
    assert [(one["holds"], one["trusted"]) for one in answer["signatures"]] == [(True, False)] * 2
    data = bytearray(picture.read_bytes())
    data[-100] ^= 1
    picture.write_bytes(data)
    _, (answer,) = ask(picture)
    broken, beside = answer["signatures"]
    assert (broken["holds"], broken["wrong"]) == (False, "assertion.dataHash.mismatch")
    assert (beside["holds"], beside["name"]) == (False, "Signer")
    assert beside["wrong"] == "the list has another file of this name: it was changed since"


def test_without_the_extra_signatures_are_named_and_not_looked_at(
    paintings: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa")
    command = ["export", paintings.uri, "--to", "market1501", "--output", str(tmp_path / "out")]
    assert main([*command, *write_chain(tmp_path / "lab")]) == 0
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "c2pa", None)
    picture = next((tmp_path / "out/bounding_box_train").iterdir())
    assert main(["detect", str(picture)]) == 0
    assert "note: it is signed, which was not checked: c2pa is not installed" in capsys.readouterr().out


def test_digests_are_kept_outside_the_data_set_and_follow_it(
    paintings: Dataset, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from manifests.detecting import known

    copy = tmp_path / "copy.png"
    Image.open(io.BytesIO(stored(paintings, 0)["image"]["bytes"])).save(copy)
    _, (answer,) = ask(copy, "--in", paintings.uri)
    assert not validate(paintings.uri).faults
    (kept,) = (tmp_path / "cache/reid-synth/pictures").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(known, "_index_of", lambda dataset: pytest.fail("worked out again"))
        assert ask(copy, "--in", paintings.uri)[0] == 0
    kept.write_bytes(kept.read_bytes()[:50])
    assert ask(copy, "--in", paintings.uri)[0] == 0
    person = stored(paintings, 0)["identity"]
    assert main(["erase", paintings.uri, "--identity", person, "--dataset-id", "market-like"]) == 0
    capsys.readouterr()
    assert ask(copy, "--in", paintings.uri) == (1, [answer | {"generated": False, "matches": []}])
    assert list((tmp_path / "cache/reid-synth/pictures").iterdir()) == [kept]


def test_mistakes_are_one_line_and_the_rest_is_answered(
    paintings: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, text = tmp_path / "good.jpg", tmp_path / "text.jpg"
    good.write_bytes(stored(paintings, 0)["image"]["bytes"])
    text.write_text("no picture")
    assert main(["detect", str(text), str(good), str(tmp_path / "none"), "--in", paintings.uri]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 2
    assert "text.jpg is no picture that can be read" in said.err
    assert "object at 0x" not in said.err
    assert "none cannot be read: No such file or directory" in said.err
    assert (
        f"good.jpg: generated\n  the file of sample {stored(paintings, 0)['sample_id']} in {paintings.uri}\n"
        in said.out
    )
    real = source_dataset(f"{paintings.uri}-real")
    for arguments, message in (
        (["--in", real.uri], "is a source data set: --in takes data sets of generated images"),
        (["--in", str(tmp_path)], "no data set at"),
        (["--trust", str(text)], "holds no certificate in PEM form"),
        (["--trust", str(tmp_path / "none")], "none cannot be read: No such file"),
    ):
        assert main(["detect", str(good), *arguments]) == 2
        err = capsys.readouterr().err
        assert (err.count("\n"), message in err) == (1, True)
