"""Each published layout, in small, and what is said of a folder that is laid out otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import UserError
from manifests.format.terms import laxer, strictest
from pipeline.sources import dukemtmc, market1501
from pipeline.sources.files import Fault, SourceFile
from pipeline.sources.known_layouts import LAYOUTS, get_layout, scan, scan_and_remark
from pipeline.sources.layout_base import ScanOptions

Put = Callable[..., Path]


def read(layout: str, root: Path, **options: object) -> dict[str, SourceFile]:
    files = scan(get_layout(layout), root, ScanOptions(**options))  # type: ignore[arg-type]
    assert [file.relative_path for file in files] == sorted(file.relative_path for file in files)
    return {file.relative_path: file for file in files}


def facts(file: SourceFile) -> tuple[object, ...]:
    assert file.fault is None
    return file.split, file.role, file.identity, file.camera, file.sequence, file.frame


def reasons(files: dict[str, SourceFile]) -> dict[str, str]:
    return {path: file.fault.reason for path, file in files.items() if file.fault}


# Market-1501


def test_market1501(put: Put, root: Path) -> None:
    train, query, gallery = "bounding_box_train", "query", "bounding_box_test"
    put(f"{train}/0002_c1s1_000451_03.jpg")
    put(f"{train}/0007_c12s3_000151_01.JPG")
    put(f"{query}/0001_c1s1_001051_00.jpg")
    put(f"{gallery}/-1_c1s1_000401_03.jpg")
    put(f"{gallery}/0000_c2s1_000151_01.jpg")
    put(f"{gallery}/0001_c6s4_001051_00.jpg")
    put(f"{gallery}/holiday.jpg")
    put(f"{train}/Thumbs.db", "x")
    put("gt_bbox/0001_c1s1_001051_00.jpg")
    files = read("market1501", root)
    assert facts(files[f"{train}/0002_c1s1_000451_03.jpg"]) == ("train", "person", "0002", 1, 1, 451)
    assert facts(files[f"{train}/0007_c12s3_000151_01.JPG"]) == ("train", "person", "0007", 12, 3, 151)
    assert facts(files[f"{query}/0001_c1s1_001051_00.jpg"]) == ("query", "person", "0001", 1, 1, 1051)
    assert facts(files[f"{gallery}/-1_c1s1_000401_03.jpg"]) == ("gallery", "junk", None, 1, 1, 401)
    assert facts(files[f"{gallery}/0000_c2s1_000151_01.jpg"]) == ("gallery", "distractor", None, 2, 1, 151)
    assert reasons(files) == {f"{gallery}/holiday.jpg": "unparsable_name"}
    assert len(files) == 7


def test_market1501_as_cvat_and_datumaro_number_people(put: Put, root: Path) -> None:
    """Without zeros before the number; CVAT's own copies of Market-1501 keep them."""
    train = "bounding_box_train"
    for name in ("1_c1s1_000000_00", "1_c2s1_000001_00", "0001_c3s1_000090_00", "12345_c1s1_000004_00"):
        put(f"{train}/{name}.jpg")
    files = read("market1501", root)
    assert {file.identity for file in files.values()} == {"0001", "12345"}
    _, (remark,) = scan_and_remark(get_layout("market1501"), root, ScanOptions())
    assert remark == (
        "people whose number is written in more than one way: 1; the first: 0001 and 1 are one person, 0001"
    )


@given(
    identity=st.integers(-1, 99999),
    camera=st.integers(1, 9999),
    sequence=st.integers(0, 99),
    frame=st.integers(0, 10**9),
    box=st.integers(0, 99),
)
def test_market1501_names_round_trip(identity: int, camera: int, sequence: int, frame: int, box: int) -> None:
    text = "-1" if identity == -1 else f"{identity:04d}"
    parsed = market1501.parse(f"{text}_c{camera}s{sequence}_{frame:06d}_{box:02d}")
    known = text if identity > 0 else None
    role = {-1: "junk", 0: "distractor"}.get(identity, "person")
    assert parsed == (role, known, camera, sequence, frame)


@given(st.text() | st.from_regex(r"-?\d+_c\d+s\d+_\d+_\d+") | st.from_regex(r"\d+_c\d+_f\d+"))
def test_no_name_is_a_surprise(stem: str) -> None:
    for parse in (market1501.parse, dukemtmc.parse):
        parsed = parse(stem)
        if not isinstance(parsed, Fault):
            assert 0 <= parsed.camera < 2**31
            assert 0 <= (parsed.sequence or 0) < 2**31
            assert 0 <= (parsed.frame or 0) < 2**63


# DukeMTMC-reID


def test_dukemtmc(put: Put, root: Path) -> None:
    put("bounding_box_train/0001_c2_f0046182.jpg")
    put("query/0005_c2_f0046985.jpg")
    put("bounding_box_test/7139_c8_f0160815.jpg")
    put("bounding_box_test/7139_c9_f0160815.jpg")
    files = read("dukemtmc", root)
    assert facts(files["query/0005_c2_f0046985.jpg"]) == ("query", "person", "0005", 2, None, 46985)
    assert facts(files["bounding_box_test/7139_c8_f0160815.jpg"])[:4] == ("gallery", "person", "7139", 8)
    assert reasons(files) == {"bounding_box_test/7139_c9_f0160815.jpg": "bad_camera"}
    layout = get_layout("dukemtmc")
    assert layout.must_accept
    assert laxer("research only", layout.licence or "")
    assert strictest([layout.licence, "CC-BY-NC-4.0"]) == layout.licence


# MSMT17


def make_msmt17(put: Put, train: str = "train", test: str = "test") -> None:
    names = {
        "list_train.txt": [(train, "0000/0000_000_01_0303morning_0008_0.jpg", 0)],
        "list_val.txt": [(train, "0001/0001_003_15_0114afternoon_0758_1.jpg", 1)],
        "list_query.txt": [(test, "0000/0000_001_14_0113noon_0981_1.jpg", 0)],
        "list_gallery.txt": [(test, "0000/0000_002_05_0302noon_0040_0.jpg", 0)],
    }
    for name, lines in names.items():
        put(name, "".join(f"{path} {identity}\n" for _, path, identity in lines))
        for folder, path, _ in lines:
            put(f"{folder}/{path}")


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17(put: Put, root: Path, train: str, test: str) -> None:
    make_msmt17(put, train, test)
    files = read("msmt17", root)
    path = f"{train}/0000/0000_000_01_0303morning_0008_0.jpg"
    assert facts(files[path]) == ("train", "person", "train-0000", 1, 3031, 8)
    validation = files[f"{train}/0001/0001_003_15_0114afternoon_0758_1.jpg"]
    assert facts(validation) == ("train", "person", "train-0001", 15, 1143, 758)
    # Number 0 of the test part is another person than number 0 of the training part.
    query = files[f"{test}/0000/0000_001_14_0113noon_0981_1.jpg"]
    assert facts(query) == ("query", "person", "test-0000", 14, 1132, 981)
    assert files[f"{test}/0000/0000_002_05_0302noon_0040_0.jpg"].split == "gallery"
    assert not reasons(files)


def test_msmt17_lists_and_files_that_disagree(put: Put, root: Path) -> None:
    make_msmt17(put)
    put("train/0002/0002_000_16_0303morning_0008_0.jpg")
    put("train/0003/0003_000_01_0303morning_0008_0.jpg")
    put("train/0004/0004_000_01_0303morning_0008_0.jpg")
    put("../outside.jpg")
    listed = [
        "0000/0000_000_01_0303morning_0008_0.jpg 0",
        "0002/0002_000_16_0303morning_0008_0.jpg 2",
        "0003/0003_000_01_0303morning_0008_0.jpg 7",
        "0003/0003_000_01_0303morning_0008_0.jpg 3",
        "0009/0009_000_01_0303morning_0008_0.jpg 9",
        "../../outside.jpg 1",
    ]
    put("list_train.txt", "\r\n".join(listed) + "\r\n\r\n")
    files = scan(get_layout("msmt17"), root, ScanOptions())
    found = [(file.relative_path.split("/")[-1][:4], file.fault.reason) for file in files if file.fault]
    assert sorted(found) == [
        ("0002", "bad_camera"),
        ("0003", "label_mismatch"),
        ("0004", "not_listed"),
        ("0009", "missing_file"),
        ("outs", "bad_path"),
    ]


def test_msmt17_without_a_list_says_which(put: Put, root: Path) -> None:
    make_msmt17(put)
    (root / "list_query.txt").unlink()
    with pytest.raises(UserError, match=r"found no list_query\.txt"):
        read("msmt17", root)
    put("list_query.txt", "0000/0000_001_14_0113noon_0981_1.jpg\n")
    with pytest.raises(UserError, match=r"list_query\.txt, line 1"):
        read("msmt17", root)


def test_msmt17_training_part_alone(put: Put, root: Path) -> None:
    put("train/0000/0000_000_01_0303morning_0008_0.jpg")
    put("list_train.txt", "0000/0000_000_01_0303morning_0008_0.jpg 0\n")
    put("list_val.txt", "")
    assert [file.split for file in read("msmt17", root).values()] == ["train"]


# CUHK03


def make_cuhk03(put: Put, kind: str = "detected") -> dict[str, list[list[object]]]:
    """As the published tools write it: paths of another machine, training identities numbered anew."""
    folder = f"images_{kind}"
    for name in ("1_001_1_01", "1_001_2_06", "5_002_1_01", "5_002_2_10"):
        put(f"{folder}/{name}.png")
    split: dict[str, list[list[object]]] = {
        "train": [[f"/home/a/cuhk03/{folder}/1_001_1_01.png", 0, 0], [f"x/{folder}/1_001_2_06.png", 0, 1]],
        "query": [[f"C:\\cuhk03\\{folder}\\5_002_1_01.png", 1467, 0]],
        "gallery": [[f"/home/a/cuhk03/{folder}/5_002_2_10.png", 1467, 1]],
    }
    counts = {"num_train_pids": 1, "num_train_imgs": 2}
    put(f"splits_new_{kind}.json", json.dumps([{**split, **counts}]))
    return split


@pytest.mark.parametrize("kind", ["detected", "labeled"])
def test_cuhk03(put: Put, root: Path, kind: str) -> None:
    make_cuhk03(put, kind)
    put(f"images_{kind}/1_003_1_01.png")
    files = read("cuhk03", root)
    assert facts(files[f"images_{kind}/1_001_2_06.png"]) == ("train", "person", "1-001", 2, 1, 6)
    assert facts(files[f"images_{kind}/5_002_1_01.png"]) == ("query", "person", "5-002", 1, 5, 1)
    assert files[f"images_{kind}/5_002_2_10.png"].split == "gallery"
    assert reasons(files) == {f"images_{kind}/1_003_1_01.png": "not_listed"}


def test_cuhk03_labels_that_disagree_with_the_names(put: Put, root: Path) -> None:
    split = make_cuhk03(put)
    split["train"] += [["images_detected/1_009_1_01.png", 3, 0]]
    split["query"] = [["images_detected/5_002_1_01.png", 1467, 1]]
    put("splits_new_detected.json", json.dumps([split]))
    files = read("cuhk03", root)
    assert reasons(files) == {
        "images_detected/1_009_1_01.png": "missing_file",
        "images_detected/5_002_1_01.png": "label_mismatch",
    }


def test_cuhk03_splits_that_cannot_be_used(put: Put, root: Path) -> None:
    split = make_cuhk03(put)
    classic = put("classic.json", json.dumps([{**split, "gallery": split["query"]}]))
    with pytest.raises(UserError, match="in query and in gallery"):
        read("cuhk03", root, split_file=classic)
    with pytest.raises(UserError, match=r"--split-index 1.*holds 1"):
        read("cuhk03", root, split_index=1)
    with pytest.raises(UserError, match="is not \\[path, identity, view\\]"):
        read("cuhk03", root, split_file=put("odd.json", '[{"train": [["a.png"]]}]'))
    with pytest.raises(UserError, match="must hold a list"):
        read("cuhk03", root, split_file=put("dict.json", '{"train": []}'))
    with pytest.raises(UserError, match=r"train is None, not a list of \[path, identity, view\]"):
        read("cuhk03", root, split_file=put("null.json", '[{"train": null}]'))
    with pytest.raises(UserError, match="is not \\[path, identity, view\\]"):
        read("cuhk03", root, split_file=put("infinite.json", '[{"train": [["a.png", 0, Infinity]]}]'))
    for text in ("[{", "[" * 100_000):
        with pytest.raises(UserError, match="cannot read the split"):
            read("cuhk03", root, split_file=put("torn.json", text))
    with pytest.raises(UserError, match=r"no such file \(--split-file"):
        read("cuhk03", root, split_file=root / "absent.json")
    with pytest.raises(UserError, match="detected and labeled"):
        read("cuhk03", root, variant="labelled")


def test_cuhk03_names_that_cannot_be_read_open_nothing_outside(put: Put, root: Path) -> None:
    split = make_cuhk03(put)
    (root / "images_detected" / "odd.png").symlink_to(put("../outside.png"))
    put("splits_new_detected.json", json.dumps([{**split, "gallery": [["odd.png", 1, 1], ["..", 1, 1]]}]))
    found = {path: file.fault for path, file in read("cuhk03", root).items() if file.fault and not file.fault.readable}
    assert {path: fault.reason for path, fault in found.items()} == {
        "images_detected/odd.png": "outside_root",
        "images_detected/..": "bad_path",
    }


# PRID 2011


def make_prid2011(put: Put) -> None:
    for person in ("0001", "0200", "0201"):
        for camera in ("cam_a", "cam_b"):
            put(f"single_shot/{camera}/person_{person}.png")
            put(f"multi_shot/{camera}/person_{person}/0007.png")


def test_prid2011_single_shot(put: Put, root: Path) -> None:
    make_prid2011(put)
    put("single_shot/cam_a/0002.png")
    files = read("prid2011", root)
    at = "single_shot"
    assert facts(files[f"{at}/cam_a/person_0200.png"]) == ("query", "person", "0200", 1, None, None)
    assert facts(files[f"{at}/cam_b/person_0200.png"]) == ("gallery", "person", "0200", 2, None, None)
    # 0201 of the two cameras are two persons.
    assert facts(files[f"{at}/cam_a/person_0201.png"]) == ("gallery", "distractor", "a-0201", 1, None, None)
    assert facts(files[f"{at}/cam_b/person_0201.png"]) == ("gallery", "distractor", "b-0201", 2, None, None)
    assert reasons(files) == {f"{at}/cam_a/0002.png": "unparsable_name"}
    assert len(files) == 7


def test_prid2011_multi_shot_with_a_split(put: Put, root: Path) -> None:
    make_prid2011(put)
    split = put("splits.json", json.dumps([{"train": [], "test": []}, {"train": ["person_0001"], "test": []}]))
    files = read("prid2011", root, variant="multi_shot", split_file=split, split_index=1)
    first = files["multi_shot/cam_a/person_0001/0007.png"]
    assert facts(first) == ("train", "person", "0001", 1, None, 7)
    splits = {path.split("/", 1)[1][:17]: file.split for path, file in files.items()}
    assert splits["cam_b/person_0001"] == "train"
    assert splits["cam_a/person_0200"] == "query"
    assert splits["cam_b/person_0200"] == "gallery"
    for text in ('[{"test": []}]', "[" * 100_000):
        with pytest.raises(UserError, match="list of objects with train and test"):
            read("prid2011", root, split_file=put("odd.json", text))


# The toy world's own


def test_toyworld_is_market1501_with_its_truth(put: Put, root: Path) -> None:
    put("bounding_box_train/0002_c8s1_000451_03.jpg")
    with pytest.raises(UserError, match=r"looked for ground_truth/annotations\.parquet.*--layout market1501"):
        read("toyworld", root)
    put("ground_truth/annotations.parquet", "PAR1")
    files = read("toyworld", root)
    assert facts(files["bounding_box_train/0002_c8s1_000451_03.jpg"])[2:4] == ("0002", 8)
    assert get_layout("toyworld").consent_basis


# Other layouts than was said


def test_the_error_names_what_was_looked_for_and_what_would_fit(put: Put, root: Path) -> None:
    put("bounding_box_train/0005_c2_f0046985.jpg")
    with pytest.raises(UserError) as caught:
        read("market1501", root)
    assert "0002_c1s1_000451_03.jpg" in str(caught.value)
    assert "--layout dukemtmc" in str(caught.value)
    with pytest.raises(UserError, match=r"looked for single_shot/ or multi_shot/, found bounding_box_train"):
        read("prid2011", root)
    with pytest.raises(UserError, match="its folder root fits: give that as --root"):
        read("dukemtmc", root.parent)
    with pytest.raises(UserError, match="its folder root looks like --layout dukemtmc"):
        read("msmt17", root.parent)


@pytest.mark.parametrize("made", ["msmt17", "cuhk03", "prid2011"])
@pytest.mark.parametrize("asked", [name for name in LAYOUTS if name != "folder"])
def test_every_layout_knows_itself_and_refuses_the_others(put: Put, root: Path, made: str, asked: str) -> None:
    {"msmt17": make_msmt17, "cuhk03": make_cuhk03, "prid2011": make_prid2011}[made](put)
    if asked == made:
        assert read(asked, root)
        return
    with pytest.raises(UserError, match=f"--layout {made}") as caught:
        read(asked, root)
    assert "\n" not in str(caught.value)


def test_folders_without_an_image_are_one_line(put: Put, root: Path) -> None:
    put("bounding_box_train/Thumbs.db", "x")
    with pytest.raises(UserError, match="looked for images in bounding_box_train, query, bounding_box_test"):
        read("market1501", root)
    with pytest.raises(UserError, match="known: market1501"):
        get_layout("market")


@pytest.mark.real
@pytest.mark.parametrize(("room", "count", "identities", "camera"), [("room_a", 351, 6, 1), ("room_b", 207, 7, 2)])
def test_two_real_rooms(room: str, count: int, identities: int, camera: int) -> None:
    if "REID_SYNTH_DATA" not in os.environ:
        pytest.skip("REID_SYNTH_DATA is not set")
    files = read("market1501", Path(os.environ["REID_SYNTH_DATA"], "people", room))
    assert len(files) == count
    assert not reasons(files)
    assert len({file.identity for file in files.values()}) == identities
    assert {(file.camera, file.split, file.role) for file in files.values()} == {(camera, "train", "person")}
