"""Signed exports, read by C2PA's own library and checked by `sha256sum`."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.detecting.detect import detect
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset, with_image
from tests.manifests.manifest_rows import PLAN_ID
from tests.manifests.signing.authority import TimeAuthority, write_chain

c2pa = pytest.importorskip("c2pa")
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def signing(tmp_path: Path) -> list[str]:
    return write_chain(tmp_path / "lab")


def read(kind: str, asset: bytes, manifest: bytes | None = None) -> tuple[str, dict[str, Any]]:
    """What C2PA's library says of an asset: whether the claim holds, and the claim's assertions by label."""
    with c2pa.Reader(kind, io.BytesIO(asset), manifest) as reader:
        assertions = reader.get_active_manifest()["assertions"]
        return reader.get_validation_state(), {one["label"]: one["data"] for one in assertions}


@pytest.mark.parametrize("form", ["market1501", "coco", "webdataset", "huggingface"])
def test_every_form_has_one_claim_about_all_its_files(
    uri: str, output: Path, signing: list[str], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    dataset = synthetic_dataset(uri)
    assert main(["export", uri, "--to", form, "--output", str(output), *signing]) == 0
    assert "\nsigned: SHA256SUMS.c2pa is about SHA256SUMS, the digests of all files\n" in capsys.readouterr().out
    sums, manifest = (output / "SHA256SUMS").read_bytes(), (output / "SHA256SUMS.c2pa").read_bytes()
    state, said = read("text/plain", sums, manifest)
    assert state == "Valid"
    (created,) = said["c2pa.actions.v2"]["actions"]
    assert created["digitalSourceType"] == "http://c2pa.org/digitalsourcetype/trainedAlgorithmicData"
    about = said["cawg.metadata"]
    assert about["dc:identifier"] == f"urn:reid-synth:dataset:{dataset.digest()}"
    assert about["dcterms:isPartOf"] == [f"urn:reid-synth:plan:{PLAN_ID}"]
    assert about["Iptc4xmpExt:DigitalSourceType"] == SOURCE_TYPE
    files = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert {line.split("  ")[1] for line in sums.decode().splitlines()} == files - {"SHA256SUMS", "SHA256SUMS.c2pa"}
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=output, check=True)
    assert read("text/plain", sums + b"\n", manifest)[0] == "Invalid"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_each_image_is_signed_where_that_is_asked_for(
    uri: str, output: Path, signing: list[str], image_format: str
) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: with_image(row, number, image_format), sizes=(2,))
    assert main(["export", uri, "--to", "webdataset", "--output", str(output), *signing, "--sign-each"]) == 0
    row, *_ = dataset.read().to_pylist()
    with tarfile.open(output / "train-000000.tar") as tar:
        first = tar.next()
        image = tar.extractfile(first).read()  # type: ignore[arg-type, union-attr]
    state, said = read(f"image/{image_format.lower()}", image)
    assert state == "Valid"
    assert said["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] == SOURCE_TYPE
    assert said["cawg.metadata"]["dc:identifier"] == row["sample_id"]
    assert said["cawg.metadata"]["Iptc4xmpExt:AISystemUsed"] == f"reid-synth, recipe {row['recipe']}"
    assert image.count(b"<dc:") == 0
    assert b"Iptc4xmpExt:DigitalSourceType=" in image, "the other mark stays"
    assert "c2pa.thumbnail.claim" not in said
    assert len(image) - len(row["image"]["bytes"]) < 6000


def test_what_no_model_made_is_signed_as_what_it_is(uri: str, output: Path, signing: list[str]) -> None:
    pasted = {"recipe": "pasted", "digital_source_type": "composite"}
    synthetic_dataset(uri, lambda number, row: row.update(pasted), sizes=(2,))
    assert main(["export", uri, "--to", "market1501", "--output", str(output), *signing, "--sign-each"]) == 0
    sums, manifest = (output / "SHA256SUMS").read_bytes(), (output / "SHA256SUMS.c2pa").read_bytes()
    picture = next((output / "bounding_box_train").iterdir())
    composite = SOURCE_TYPE.replace("trainedAlgorithmicMedia", "composite")
    for state, said in (read("text/plain", sums, manifest), read("image/jpeg", picture.read_bytes())):
        assert state == "Valid"
        assert said["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] == composite
        assert said["cawg.metadata"]["Iptc4xmpExt:DigitalSourceType"] == composite
        assert said["cawg.metadata"]["xmp:CreatorTool"] == "reid-synth, recipe pasted"
        assert "Iptc4xmpExt:AISystemUsed" not in said["cawg.metadata"]
    found = detect(str(picture))
    assert [one.generated for one in found.signatures] == [True, True]
    assert found.marks is not None


def test_pixels_and_folders_of_images_stay(uri: str, output: Path, signing: list[str]) -> None:
    from manifests.common.pictures import decode_picture

    synthetic_dataset(uri, sizes=(2,))
    for form, name in (("market1501", "bounding_box_train"), ("coco", "images/train")):
        for place, more in ((f"{output}-{form}-plain", []), (f"{output}-{form}", [*signing, "--sign-each"])):
            assert main(["export", uri, "--to", form, "--output", place, *more]) == 0
        for path in Path(f"{output}-{form}", name).iterdir():
            plain = Path(f"{output}-{form}-plain", name, path.name).read_bytes()
            assert (decode_picture(path.read_bytes()) == decode_picture(plain)).all()
            assert read("image/jpeg", path.read_bytes())[0] == "Valid"


def test_a_signed_copy_is_still_a_data_set(uri: str, output: Path, signing: list[str]) -> None:
    synthetic_dataset(uri)
    assert main(["export", uri, "--to", "huggingface", "--output", str(output), *signing]) == 0
    assert not validate(str(output)).faults


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=lambda key: type(key).__name__,
)
def test_other_kinds_of_key(uri: str, tmp_path: Path, key: Any) -> None:
    synthetic_dataset(uri, sizes=(1,))
    signing = write_chain(tmp_path / "other", key)
    assert main(["export", uri, "--to", "market1501", "--output", str(tmp_path / "export"), *signing]) == 0
    sums = (tmp_path / "export/SHA256SUMS").read_bytes()
    assert read("text/plain", sums, (tmp_path / "export/SHA256SUMS.c2pa").read_bytes())[0] == "Valid"


def test_a_key_with_a_password(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_dataset(uri, sizes=(1,))
    command = ["export", uri, "--to", "market1501", "--output", str(tmp_path / "export")]
    command += write_chain(tmp_path / "locked", password="open sesame")
    assert main(command) == 2
    assert capsys.readouterr().err.endswith("is encrypted: put its password into REID_SYNTH_SIGN_PASSWORD\n")
    monkeypatch.setenv("REID_SYNTH_SIGN_PASSWORD", "open barley")
    assert main(command) == 2
    assert "is not opened by the password in REID_SYNTH_SIGN_PASSWORD\n" in capsys.readouterr().err
    monkeypatch.setenv("REID_SYNTH_SIGN_PASSWORD", "open sesame")
    assert main(command) == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl stamps the time here")
def test_the_time_of_signing_is_stamped(
    uri: str, output: Path, signing: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_dataset(uri, sizes=(1,))
    command = ["export", uri, "--to", "market1501", "--output", str(output), *signing, "--sign-time-authority"]
    with TimeAuthority(tmp_path / "time") as authority:
        assert main([*command, authority.url]) == 0
    manifest = (output / "SHA256SUMS.c2pa").read_bytes()
    with c2pa.Reader("text/plain", io.BytesIO((output / "SHA256SUMS").read_bytes()), manifest) as reader:
        assert datetime.fromisoformat(reader.get_active_manifest()["signature_info"]["time"]) <= datetime.now(UTC)
        said = [one["code"] for one in reader.get_validation_results()["activeManifest"]["success"]]
    assert "timeStamp.validated" in said
    capsys.readouterr()
    assert main([*command[:-1], "--output", f"{output}-2", "--sign-time-authority", authority.url]) == 2
    assert f"error: the time authority {authority.url} gives no stamp: " in capsys.readouterr().err


def test_certificates_that_cannot_sign_are_one_line(
    uri: str, tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_dataset(uri, sizes=(1,))
    good, other = write_chain(tmp_path / "good"), write_chain(tmp_path / "other")
    text = tmp_path / "text"
    text.write_text("no PEM")
    for signing, message in (
        (write_chain(tmp_path / "old", days=(-9, -2)), "expired on "),
        (write_chain(tmp_path / "early", days=(2, 9)), "is not valid before "),
        ([*good[:3], other[3]], "is not the key of the first certificate of the chain"),
        (["--sign-cert", str(tmp_path / "good/root.pem"), "--sign-key", good[3]], "is not the key of the first"),
        ([*good[:3], str(tmp_path / "none")], "none cannot be read: No such file"),
        ([*good[:3], str(text)], "text holds no private key in PEM form"),
        (["--sign-cert", str(text), *good[2:]], "text holds no certificate in PEM form"),
        (good[:2], "--sign-cert FILE and --sign-key FILE go together"),
        (["--sign-each"], "--sign-each goes with --sign-cert"),
        (["--sign-time-authority", "http://localhost"], "--sign-time-authority goes with --sign-cert"),
        (write_chain(tmp_path / "small", rsa.generate_private_key(65537, 1024)), "of a kind that C2PA does not sign"),
        (write_chain(tmp_path / "dsa", dsa.generate_private_key(2048)), "of a kind that C2PA does not sign"),  # type: ignore[arg-type]
    ):
        assert main(["export", uri, "--to", "market1501", "--output", str(output), *signing]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert message in said
        assert not output.exists()


def test_a_certificate_of_no_authority_is_refused_before_work(
    uri: str, tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifests.signing import certificate

    synthetic_dataset(uri, sizes=(1,))
    signing = write_chain(tmp_path / "lab")
    own = (tmp_path / "lab/chain.pem").read_bytes()
    monkeypatch.setattr(certificate, "_read", lambda path: own[own.rindex(b"-----BEGIN") :] if "chain" in path else b"")
    monkeypatch.setattr(certificate, "_key", lambda *_: ((tmp_path / "lab/key.pem").read_bytes(), "es256"))
    assert main(["export", uri, "--to", "market1501", "--output", str(output), *signing]) == 2
    assert "the certificate cannot sign: " in capsys.readouterr().err
    assert not output.exists()


def test_real_images_are_not_signed_as_generated(
    uri: str, output: Path, signing: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source_dataset(uri)
    assert main(["export", uri, "--to", "market1501", "--output", str(output), *signing]) == 2
    assert "is a source data set: what is signed says that it was generated" in capsys.readouterr().err


def test_without_the_extra_it_is_said_in_one_line(
    uri: str, output: Path, signing: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    synthetic_dataset(uri, sizes=(1,))
    monkeypatch.setitem(sys.modules, "c2pa", None)
    command = ["export", uri, "--to", "market1501", "--output", str(output)]
    assert main([*command, *signing]) == 2
    assert capsys.readouterr().err == "error: c2pa is not installed: pip install 'c2pa-python<0.39' cryptography\n"
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 1
    assert not (output / "SHA256SUMS").exists()
