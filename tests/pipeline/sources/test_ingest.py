"""From a folder to a data set: rows, rejects, determinism, resuming."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from huggingface_hub import DatasetCard
from PIL import ExifTags, Image

from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.exports.torch import ReIDDataset
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, ShardSink
from pipeline.common import images
from pipeline.sources import ingest as ingest_module
from pipeline.sources.ingest import Plan, ingest, make_plan, summarize
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.layout_base import ScanOptions
from pipeline.sources.reading import Provenance

Put = Callable[..., Path]
MARKET = get_layout("market1501")
TRAIN = "bounding_box_train"
OURS = Provenance("market-mini", "market", "CC BY 4.0", "staged by consenting actors")


def make_market(put: Put, count: int = 10) -> None:
    for number in range(count):
        put(f"{TRAIN}/{number % 3 + 1:04d}_c{number % 4 + 1}s1_{number:06d}_00.jpg")


def data_digest(dataset: Dataset) -> list[str]:
    return [Path(path).name + hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in dataset.files()]


def test_rows_hold_the_files_bytes_and_what_is_known_of_them(put: Put, root: Path, tmp_path: Path) -> None:
    make_market(put)
    put("bounding_box_test/-1_c2s1_000007_01.jpg")
    plan = make_plan(root, MARKET, OURS, shard_size=4)
    dataset = ingest(root, plan, OURS, str(tmp_path / "set"))
    rows = dataset.read().to_pylist()
    assert [len(shard) for shard in plan.shards] == [1, 4, 4, 2]  # a split each
    assert len({row["image_id"] for row in rows}) == 11
    for row in rows:
        data = (root / row["relative_path"]).read_bytes()
        assert row["image"] == {"bytes": data, "path": Path(row["relative_path"]).name}
        assert row["image_sha256"] == hashlib.sha256(data).hexdigest()
        assert (row["height"], row["width"]) == images.decode(data).shape[:2]
        assert (row["dataset_id"], row["domain"]) == ("market-mini", "market")
        assert (row["licence"], row["consent_basis"]) == ("CC BY 4.0", "staged by consenting actors")
    junk = next(row for row in rows if row["role"] == "junk")
    assert (junk["identity"], junk["camera"], junk["split"]) == (None, 2, "gallery")


def plant_bad_files(put: Put, root: Path) -> dict[str, str]:
    """A file of every kind that must not become a row: path -> reason."""
    good = put(f"{TRAIN}/0001_c1s1_000900_00.jpg").read_bytes()
    start = good.index(b"\xff\xc0")
    taller = good[: start + 5] + (64).to_bytes(2, "big") + good[start + 7 :]
    bomb = good[: start + 5] + (20000).to_bytes(2, "big") * 2 + good[start + 9 :]
    png = images.encode(images.decode(good), "png")
    planted: list[tuple[str, bytes, str]] = [
        ("0001_c1s1_000901_00.jpg", b"", "empty"),
        ("0001_c1s1_000902_00.jpg", b"not a picture at all", "unknown_format"),
        ("0001_c1s1_000903_00.jpg", good[:-40], "corrupt"),
        ("0001_c1s1_000904_00.jpg", taller, "corrupt"),
        ("0001_c1s1_000905_00.jpg", bomb, "too_many_pixels"),
        ("0001_c1s1_000906_00.png", png[: len(png) // 2], "corrupt"),
        ("0001_c1s1_000908_00.jpg", good[:-40] + b"\xff\xd9", "corrupt"),
        ("0001_c1s1_000909_00.jpg", good[:200], "unknown_format"),
        ("holiday.jpg", good, "unparsable_name"),
    ]
    for name, data, _ in planted:
        put(f"{TRAIN}/{name}", data)
    put("../outside.jpg")
    (root / TRAIN / "0001_c1s1_000907_00.jpg").symlink_to(root.parent / "outside.jpg")
    reasons = {f"{TRAIN}/{name}": reason for name, _, reason in planted}
    return {**reasons, f"{TRAIN}/0001_c1s1_000907_00.jpg": "outside_root"}


def test_every_bad_file_is_a_reject_with_its_reason(
    put: Put, root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_market(put)
    expected = plant_bad_files(put, root)
    dataset = ingest(root, make_plan(root, MARKET, OURS, shard_size=5), OURS, str(tmp_path / "set"))
    rejects = dataset.rejects().to_pylist()
    assert {reject["relative_path"]: reject["reason"] for reject in rejects} == expected
    assert dataset.snapshot.rows == 11
    for reject in rejects:
        data = (root / reject["relative_path"]).read_bytes()
        opened = reject["reason"] != "outside_root"
        assert reject["source_sha256"] == (hashlib.sha256(data).hexdigest() if opened else None)
        assert reject["message"]
        assert reject["stage"] == "prepare_source"
    assert len({reject["item_id"] for reject in rejects}) == len(expected)
    assert "WARN" not in capfd.readouterr().err


def test_what_is_accepted_is_no_fault_of_the_data_set(put: Put, root: Path, tmp_path: Path) -> None:
    """Odd formats, depths and names: `validate` finds nothing in what became rows, and everything reads the same."""
    deep, exif = np.arange(32 * 16, dtype=np.uint16).reshape(32, 16) * 127, Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    noise = Image.fromarray(images.decode(put("plain.jpg").read_bytes()))
    for name, image_format, image in (
        *((f"{one}.jpg", one, noise) for one in ("GIF", "AVIF", "JPEG2000", "TIFF", "PPM", "BMP", "MPO", "PNG")),
        ("12:30:05.png", "PNG", noise),
        ("back\\slash.png", "PNG", noise),
        ("grey16.png", "PNG", Image.fromarray(deep)),
        ("float.tiff", "TIFF", Image.fromarray(deep.astype(np.float32))),
        ("fax.tif", "TIFF", noise.convert("1")),
        ("palette.png", "PNG", noise.quantize(8)),
    ):
        put(name, saved(image, image_format))
    put("turned.jpg", saved(noise, "JPEG", exif=exif))
    plan = make_plan(root, get_layout("folder"), OURS)
    dataset = ingest(root, plan, OURS, str(tmp_path / "set"))
    assert dict(dataset.snapshot.reasons) == {"unknown_format": 3, "unknown_mode": 1, "exif_orientation": 1}
    assert validate(dataset.uri).faults == []
    rows = dataset.read().to_pylist()
    for row, item in zip(rows, ReIDDataset(dataset.uri), strict=True):
        pixels = images.decode(row["image"]["bytes"])
        assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), pixels)
        with np.errstate(all="raise"):
            assert 20 < pixels.mean() < 235, row["relative_path"]
    names = {row["relative_path"]: row["image"]["path"] for row in rows}
    assert (names["12:30:05.png"], names["back\\slash.png"]) == ("12_30_05.png", "back_slash.png")


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_damaged_bytes_never_stop_a_run(put: Put, root: Path, tmp_path: Path, image_format: images.ImageFormat) -> None:
    generator = np.random.Generator(np.random.Philox(7))
    good = images.encode(generator.integers(0, 256, (24, 12, 3), dtype=np.uint8), image_format)
    put(f"{TRAIN}/0001_c1s1_999999_00.jpg", good)
    for number in range(120):
        data = bytearray(good)
        for place in generator.integers(0, len(data), 4):
            data[place] = generator.integers(0, 256)
        end = generator.integers(0, len(data)) if number % 3 == 0 else len(data)
        put(f"{TRAIN}/0001_c1s1_{number:06d}_00.jpg", bytes(data[:end]))
    snapshot = ingest(root, make_plan(root, MARKET, OURS), OURS, str(tmp_path / "set")).snapshot
    assert snapshot.rows >= 1
    assert snapshot.rejected >= 20
    assert snapshot.rows + snapshot.rejected == 121


def test_a_file_that_goes_away_after_the_plan_is_a_reject(put: Put, root: Path, tmp_path: Path) -> None:
    make_market(put)
    plan = make_plan(root, MARKET, OURS)
    (root / plan.shards[0][3].relative_path).unlink()
    dataset = ingest(root, plan, OURS, str(tmp_path / "set"))
    assert dataset.rejects().column("reason").to_pylist() == ["unreadable_file"]
    assert dataset.snapshot.rows == 9


def test_the_same_bytes_whatever_the_threads_and_the_place(put: Put, root: Path, tmp_path: Path) -> None:
    make_market(put, 25)
    plant_bad_files(put, root)
    moved = tmp_path / "moved"
    digests = set()
    for threads, place in [(1, root), (4, root), (3, moved)]:
        if place == moved:
            root.rename(moved)
        plan = make_plan(place, MARKET, OURS, shard_size=6)
        dataset = ingest(place, plan, OURS, str(tmp_path / f"set{threads}"), threads=threads)
        digests.add((plan.plan_id, *data_digest(dataset)))
    assert len(digests) == 1


def test_the_plan_changes_with_what_it_depends_on(put: Put, root: Path) -> None:
    make_market(put)
    plan = make_plan(root, MARKET, OURS)
    assert make_plan(root, MARKET, OURS) == plan
    assert make_plan(root, MARKET, OURS, shard_size=5).plan_id != plan.plan_id
    assert make_plan(root, MARKET, Provenance("x", "market", None, None)).plan_id != plan.plan_id
    put(f"{TRAIN}/0009_c1s1_000900_00.jpg")
    assert make_plan(root, MARKET, OURS).plan_id != plan.plan_id


def test_shards_end_by_bytes_too(put: Put, root: Path) -> None:
    make_market(put)
    sizes = [file.size for shard in make_plan(root, MARKET, OURS).shards for file in shard]
    plan = make_plan(root, MARKET, OURS, shard_bytes=3 * max(sizes))
    assert plan.files == 10
    assert len(plan.shards) >= 3
    assert all(sum(file.size for file in shard) <= 3 * max(sizes) for shard in plan.shards)
    alone = make_plan(root, MARKET, OURS, shard_bytes=1)
    assert [len(shard) for shard in alone.shards] == [1] * 10


class StoppedError(Exception):
    pass


def stop_after(monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    """Let the run die when it would commit the shard after these."""
    commit, done = ShardSink.commit, 0

    def dying(self: ShardSink, *arguments: object) -> object:
        nonlocal done
        if done == shards:
            raise StoppedError
        done += 1
        return commit(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardSink, "commit", dying)


def test_a_shard_holds_rows_of_one_split(put: Put, root: Path, tmp_path: Path) -> None:
    """However the splits lie among each other in the list of files."""
    table = ["path,identity,camera,split"]
    for number, split in enumerate(["train", "query", "train", "gallery", "query", "train"]):
        put(f"{number}.jpg")
        table.append(f"{number}.jpg,{number % 2 + 1},{number % 3 + 1},{split}")
    labels = root.parent / "labels.csv"
    labels.write_text("\n".join(table))
    plan = make_plan(root, get_layout("folder"), OURS, ScanOptions(labels=labels), shard_size=2)
    assert [[Path(file.relative_path).stem for file in shard] for shard in plan.shards] == [
        *(["0", "2"], ["5"], ["1", "4"], ["3"])
    ]
    card = Path(ingest(root, plan, OURS, str(tmp_path / "set")).uri, "README.md").read_text()
    splits = {one["split"]: len(one["path"]) for one in DatasetCard(card).data.configs[0]["data_files"]}
    assert splits == {"train": 2, "query": 1, "gallery": 1}


def test_a_stopped_run_reads_only_what_is_left(
    put: Put, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_market(put, 20)
    plan = make_plan(root, MARKET, OURS, shard_size=4)
    whole = ingest(root, plan, OURS, str(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(StoppedError):
            ingest(root, plan, OURS, str(tmp_path / "stopped"))
    with pytest.raises(UserError, match="not finished"):
        open_dataset(str(tmp_path / "stopped"))
    read_sizes: list[int] = []
    original = ingest_module.read_shard

    def counting(place: Path, files: tuple[object, ...], *rest: object) -> object:
        read_sizes.append(len(files))
        return original(place, files, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest_module, "read_shard", counting)
    resumed = ingest(root, plan, OURS, str(tmp_path / "stopped"))
    assert read_sizes == [4, 4]
    assert data_digest(resumed) == data_digest(whole)
    ingest(root, plan, OURS, str(tmp_path / "stopped"))
    assert read_sizes == [4, 4]


def test_another_folder_is_not_mixed_in(put: Put, root: Path, tmp_path: Path) -> None:
    make_market(put)
    uri = str(tmp_path / "set")
    ingest(root, make_plan(root, MARKET, OURS), OURS, uri)
    put(f"{TRAIN}/0009_c1s1_000900_00.jpg")
    with pytest.raises(UserError):
        ingest(root, make_plan(root, MARKET, OURS), OURS, uri)
    assert open_dataset(uri).snapshot.rows == 10


def test_nothing_to_read_is_one_line(put: Put, root: Path, tmp_path: Path) -> None:
    put(f"{TRAIN}/0001_c1s1_000001_00.jpg", b"")
    with pytest.raises(UserError, match="no image of the splits query"):
        make_plan(root, MARKET, OURS, splits=["query"])
    plan = make_plan(root, MARKET, OURS)
    with pytest.raises(UserError, match=r"no image in .* could be read \(empty 1\); the reasons are in"):
        ingest(root, plan, OURS, str(tmp_path / "set"))
    (root / TRAIN / "0001_c1s1_000001_00.jpg").unlink()
    (root / TRAIN / "0001_c1s1_000001_00.jpg").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"none of the 1 images in .* a link leads out"):
        make_plan(root, MARKET, OURS)


def test_summary_counts_what_there_is(put: Put, root: Path, tmp_path: Path) -> None:
    make_market(put, 9)
    plant_bad_files(put, root)
    twin = put("query/0001_c7s1_000001_00.jpg").read_bytes()
    put("bounding_box_test/0001_c7s1_000002_00.jpg", twin)
    other = put("bounding_box_test/0001_c3s1_000003_00.jpg").read_bytes()
    put("bounding_box_test/0002_c3s1_000004_00.jpg", other)
    put("bounding_box_test/0000_c3s1_000005_00.jpg")
    summary = summarize(ingest(root, make_plan(root, MARKET, OURS), OURS, str(tmp_path / "set")))
    assert summary.images == {"train": 10, "query": 1, "gallery": 4}
    assert summary.roles == {"person": 14, "distractor": 1}
    assert summary.identities == 3
    assert summary.cameras == [1, 2, 3, 4, 7]
    assert summary.rejects["corrupt"] == 4
    assert (summary.repeated, summary.contradicting) == (4, 2)
    assert summary.lines()[1] == "identities: 3; cameras: 5 (1-4, 7)"
    rejects = [line.split(",")[0].strip() for line in summary.lines()[3 : 3 + len(summary.rejects)]]
    assert rejects == list(summary.first_rejects)
    assert "4, 2 of them under another identity" in summary.lines()[3 + len(rejects)]


@pytest.mark.real
@pytest.mark.parametrize(("room", "count"), [("room_a", 351), ("room_b", 207)])
def test_two_real_rooms_to_rows(room: str, count: int, tmp_path: Path) -> None:
    if "REID_SYNTH_DATA" not in os.environ:
        pytest.skip("REID_SYNTH_DATA is not set")
    place = Path(os.environ["REID_SYNTH_DATA"], "people", room)
    provenance = Provenance(room, room, None, None)
    plan: Plan = make_plan(place, MARKET, provenance, shard_size=100)
    dataset = ingest(place, plan, provenance, str(tmp_path / "set"))
    rows = dataset.scan().select("image_sha256", "relative_path", "width", "height").collect()
    assert rows.height == count
    assert dataset.snapshot.rejected == 0
    assert rows.select(pl.col("width", "height").min()).row(0) > (8, 8)
    for digest, path in rows.select("image_sha256", "relative_path").iter_rows():
        assert hashlib.sha256((place / path).read_bytes()).hexdigest() == digest
