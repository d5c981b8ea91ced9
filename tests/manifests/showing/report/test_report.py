from __future__ import annotations

import base64
import hashlib
import json
import uuid
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.__main__ import main
from manifests.common.thumbnails import encode, open_image
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.format.schema import SOURCE_SCHEMA
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.showing.report import write_report
from manifests.storage.whole_files import open_storage
from tests.manifests.manifest_rows import annotation_rows, sha, source_rows, synthetic_rows
from tests.manifests.people_rows import noise_rows, write
from tests.manifests.run_records import rewrite_record
from tests.manifests.showing.report.conftest import PEOPLE, Family, Page, make_family

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;"


def report(uri: str, output: Path, *more: str) -> Page:
    assert main(["report", uri, "--output", str(output), *more]) == 0
    return Page(output.read_text(encoding="utf-8"))


def test_it_says_what_the_data_set_is(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = report(family.synthetic.uri, tmp_path / "report.html")
    assert capsys.readouterr().out == f"report: {tmp_path}/report.html\n"
    head = page.sections[""]
    assert "20 synthetic images of 4 identities, made by ptgan." in head
    assert "Licence unstated Consent unstated" in page.sections["counts"]
    assert "Every image in this data set is synthetic." in head
    assert "rejected of 23 planned 3" in head
    assert "erased" not in head
    provenance = page.sections["provenance"]
    for told in ("CC BY 4.0", "asked on the spot", sha("generator"), sha("sam"), "seed 7", "numpy 2.4.6, torch 2.15.0"):
        assert told in provenance, provenance
    assert "lsr label smoothing: a share ε spread over all classes 0.1 4 20 20" in page.sections["labels"]
    assert "Foreground change" in page.sections["quality"]
    assert "Sharpness" not in page.sections["quality"], "a score that no row has is left out"
    rejected = page.sections["rejected"]
    assert "Planned 23 = written 20 + rejected 3." in rejected
    assert "s corrupt 2 s too_dark 1" in rejected
    assert "ends early" in rejected
    assert not {"iframe", "object", "audio", "video"} & set(page.tags)


def test_the_page_runs_its_own_script_alone(family: Family, tmp_path: Path) -> None:
    page = report(family.synthetic.uri, tmp_path / "report.html")
    _, code = page.scripts
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page.policy
    assert page.policy.startswith("default-src 'none'; img-src data:;")


def test_the_title_says_what_the_set_is(family: Family, tmp_path: Path) -> None:
    heads = [report(one.uri, tmp_path / "report.html").sections[""] for one in family]
    told = (
        "Source data set · source Images of market 20 images",
        "Annotations · annotations Masks by sam_tiny Masks and poses of 20",
        "Synthetic data set · synthetic Images of market in the style of elsewhere, by ptgan 20 synthetic",
    )
    for head, words in zip(heads, told, strict=True):
        assert words in head, head


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"camera": None, "domain": "duke", "pose": None}, "Images of market in the style of duke, by ptgan"),
        ({"camera": 2, "domain": None, "pose": None}, "Images of market as seen by camera 2, by ptgan"),
        ({"camera": None, "domain": None, "pose": "class 1"}, "Images of market in other poses, by ptgan"),
    ],
)
def test_the_title_says_what_was_asked_for(tmp_path: Path, target: dict[str, object], words: str) -> None:
    made = make_family(str(tmp_path), lambda number, row: {**row, "target": target}).synthetic
    assert words in report(made.uri, tmp_path / "report.html").sections[""]


def test_what_a_program_drew_was_not_made_of_people(tmp_path: Path) -> None:
    drawn = {"consent_basis": "drawn by a program; shows nobody", "digital_source_type": "algorithmicMedia"}
    made = make_family(str(tmp_path / "drawn"), lambda number, row: {**row, **drawn}).synthetic
    head = report(made.uri, tmp_path / "report.html").sections[""]
    assert "A program drew them, no camera recorded them; every row says so (IPTC algorithmicMedia )." in head
    assert "drawn by a program and shows no real person: see Provenance" in head
    assert "images of people" not in head
    asked = make_family(str(tmp_path / "asked"), lambda number, row: {**row, "consent_basis": "consent"}).synthetic
    head = report(asked.uri, tmp_path / "report.html").sections[""]
    assert "Trained generative models made them" in head
    assert "The set was made from images of people: where those come from" in head


def test_what_no_model_made_is_not_said_to_be_a_models(tmp_path: Path) -> None:
    made = make_family(str(tmp_path), lambda number, row: {**row, "digital_source_type": "composite"}).synthetic
    head = report(made.uri, tmp_path / "report.html").sections[""]
    assert "They were put together from parts of images, no camera recorded them; every row says so" in head


def test_an_image_of_the_target_stands_beside(tmp_path: Path) -> None:
    target = {"camera": 2, "domain": "market", "pose": None}
    family = make_family(str(tmp_path), lambda number, row: {**row, "target": target})
    page = report(family.synthetic.uri, tmp_path / "report.html", "--samples", "1")
    assert page.sections["samples"].count("source mask pose generated target") == 3
    assert "Source and target images shown beside them are not part of the set." in page.sections[""]
    shown = {image["src"] for image in page.images if image["alt"] == "An image of the target, camera 2 of market"}
    known = [row["image"]["bytes"] for row in family.source.read().to_pylist() if row["camera"] == 2]
    assert shown <= {encode(open_image(data)) for data in known}  # type: ignore[arg-type]
    assert len(shown) > 0


def test_every_row_is_there_with_its_pictures(family: Family, tmp_path: Path) -> None:
    rows = report(family.synthetic.uri, tmp_path / "report.html").rows
    stored = family.synthetic.read().to_pylist()
    assert rows["id"] == [row["sample_id"] for row in stored]
    assert [rows["people"][place] for place in rows["person"]] == [row["identity"] for row in stored]
    assert rows["camera"] == [row["camera"] for row in stored]
    (score,) = rows["scores"]
    assert (score["title"], score["values"]) == ("Foreground change", [number / 20 for number in range(20)])
    sources = {row["image_sha256"]: row["image"]["bytes"] for row in family.source.read().to_pylist()}
    for number, row in enumerate(stored):
        pictures = {label: rows["album"][place] for label, place in rows["pictured"][str(number)].items()}
        wanted = {"source": sources[row["sources"][0]["sha256"]], "generated": row["image"]["bytes"]}
        assert pictures == {label: encode(open_image(data)) for label, data in wanted.items()}  # type: ignore[arg-type]


def test_rows_stand_on_a_map(tmp_path: Path) -> None:
    def placed(number: int, row: dict[str, object]) -> dict[str, object]:
        place = {"map_x": number / 19, "map_y": 0.25} if number else {}
        return {**row, "quality": {"uniqueness": 0.5, "repeats": 0.0, **place}}

    page = report(make_family(str(tmp_path), placed).synthetic.uri, tmp_path / "report.html")
    assert page.rows["map"] == [None, *([float(f"{number / 19:.4g}"), 0.25] for number in range(1, 20))]
    assert "19 of 20 rows, similar ones side by side" in page.sections["map"]
    assert [page.rows["recipes"][place] for place in page.rows["recipe"]] == ["ptgan"] * 20
    assert [score["title"] for score in page.rows["scores"]] == ["Uniqueness", "Repeats"]


def test_without_scores_it_says_what_draws_the_map(family: Family, tmp_path: Path) -> None:
    page = report(family.synthetic.uri, tmp_path / "report.html")
    assert f"None yet: python jobs/score_dataset.py {family.synthetic.uri}" in page.sections["map"]
    assert set(page.rows["map"]) == {None}
    assert "map" not in report(family.source.uri, tmp_path / "source.html").sections


def test_a_large_set_shows_some_pictures_and_lists_all_rows(family: Family, tmp_path: Path) -> None:
    page = report(family.source.uri, tmp_path / "report.html", "--pictures", "5")
    assert sorted(map(int, page.rows["pictured"])) == [0, 4, 8, 12, 16]
    assert len(page.rows["id"]) == 20
    assert "Every row, 5 of 20 with their pictures, evenly spread ( --pictures for more)." in page.sections["rows"]


def test_counts_add_up(family: Family, tmp_path: Path) -> None:
    page = report(family.source.uri, tmp_path / "report.html")
    words = page.sections["cameras"]
    # Five images of each person, by cameras 1, 2, 3, 1, 2.
    assert "1 8 4 2 2 2 2 8 4 2 2 2 3 4 4 1 1 1" in words
    assert "Identities by the number of cameras that see them: 4 by 3." in words
    assert "0001 0002 0003 0004 1 2 2 2 2 2 2 2 2 2 3 1 1 1 1" in words
    assert "20 images of 4 identities, as they were brought." in page.sections[""]
    assert "synthetic" not in page.text


def test_many_identities_are_summed_up(tmp_path: Path) -> None:
    family = make_family(str(tmp_path / "few"))
    rows = [
        {**row, "identity": f"{number // 2:04d}"} for number, row in enumerate(family.source.read().to_pylist() * 7)
    ]
    rows = [{**row, "image_id": f"{number:032x}"} for number, row in enumerate(rows)]
    many = write(str(tmp_path / "many"), "source", pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA))
    words = report(many.uri, tmp_path / "report.html").sections["cameras"]
    assert "Rows by camera and identity" not in words
    assert "Rows of an identity over 70 identities 2 2 median 2" in words


def test_source_camera_by_camera(tmp_path: Path) -> None:
    family = make_family(str(tmp_path), lambda number, row: {**row, "camera": 5})
    page = report(family.synthetic.uri, tmp_path / "report.html")
    assert "source 5 1 8 2 8 3 4" in page.sections["cameras"]
    assert "camera 1 → 5" in page.sections["samples"]


def test_each_sample_stands_beside_what_it_was_made_from(family: Family, tmp_path: Path) -> None:
    page = report(family.synthetic.uri, tmp_path / "report.html", "--samples", "3")
    assert page.sections["samples"].count("source mask pose generated") == 3
    assert [image["alt"] for image in page.images[:4]] == [
        "Source image, identity 0001",
        "The person's mask",
        "The pose found: 19 limbs",
        "Generated image, identity 0001",
    ]
    assert len(page.images) == 3 * 3 * 4
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.images)
    row = family.synthetic.read(filter=None).to_pylist()[0]
    original = {one["image_sha256"]: one for one in family.source.read().to_pylist()}[row["sources"][0]["sha256"]]
    first = [page.images[0]["src"], page.images[3]["src"]]
    assert first == [encode(open_image(one["image"]["bytes"])) for one in (original, row)]  # type: ignore[arg-type]


def test_best_and_worst_go_by_the_most_telling_score(family: Family, tmp_path: Path) -> None:
    page = report(family.synthetic.uri, tmp_path / "report.html", "--samples", "2")
    best, _, rest = page.sections["samples"].partition("Worst samples")
    worst, _, drawn = rest.partition("Random samples")
    assert "The first 2 by foreground change" in best
    assert "lower is better" in best
    assert [word for word in best.split() if word in ("0", "0.05")] == ["0", "0.05"]
    assert [word for word in worst.split() if word in ("0.95", "0.9")] == ["0.95", "0.9"]
    assert drawn.count("Foreground change") == 2


def test_no_more_rows_than_there_are(tmp_path: Path) -> None:
    rows = synthetic_rows(0, 1)
    dataset = write(str(tmp_path / "one"), "synthetic", rows)
    page = report(dataset.uri, tmp_path / "report.html")
    assert "Best samples" not in page.text
    assert len([image for image in page.images if image["alt"].startswith("Generated")]) == 1
    assert "samples" not in report(dataset.uri, tmp_path / "none.html", "--samples", "0").sections


def test_another_source_and_other_annotations_may_be_given(family: Family, tmp_path: Path) -> None:
    record = {"inputs": [{"id": "market", "uri": str(tmp_path / "gone")}]}
    alone = make_family(str(tmp_path / "alone"), run=record).synthetic
    page = report(alone.uri, tmp_path / "report.html")
    assert f"Not found, so pictures from there are left out: {tmp_path}/gone" in page.sections["samples"]
    assert {image["alt"].split(",")[0] for image in page.images} == {"Generated image"}
    given = ["--source", family.source.uri, "--annotations", family.annotations.uri]
    page = report(alone.uri, tmp_path / "report.html", *given)
    assert "Not found" not in page.text
    assert page.sections["samples"].count("source mask pose generated") == 3


def test_a_pose_that_was_asked_for_is_not_drawn_over_the_source(tmp_path: Path) -> None:
    target = {"camera": None, "domain": None, "pose": "class 3"}
    posed = [{"x": 4.0, "y": 8.0, "score": 0.9}] * 17
    family = make_family(str(tmp_path), lambda number, row: {**row, "target": target, "keypoints": posed})
    page = report(family.synthetic.uri, tmp_path / "report.html", "--samples", "1")
    assert "source mask asked pose generated" in page.sections["samples"]
    assert [image["alt"].split(",")[0] for image in page.images[:3]] == [
        "Source image",
        "The person's mask",
        "Generated image",
    ]


def test_names_are_shown_and_never_run(tmp_path: Path) -> None:
    record = {
        "job": HOSTILE,
        "settings": {HOSTILE: [HOSTILE]},
        "inputs": [{"id": HOSTILE, "licence": HOSTILE, "consent": HOSTILE, "uri": HOSTILE}],
        "checkpoints": [{"name": HOSTILE, "sha256": HOSTILE}],
        "environment": {HOSTILE: {HOSTILE: HOSTILE}},
        "scores": {HOSTILE: 1.5},
    }
    names = {"identity": HOSTILE, "domain": HOSTILE, "recipe": HOSTILE, "label_rule": HOSTILE}
    family = make_family(str(tmp_path), lambda number, row: {**row, **names}, record)
    page = report(family.synthetic.uri, tmp_path / "report.html")
    assert page.tags.count("script") == 2
    assert page.rows["people"] == [HOSTILE]
    assert "<" not in page.scripts[0]
    assert all(image["src"].startswith("data:") and "onerror" not in image for image in page.images)
    for section in ("", "samples", "counts", "cameras", "labels", "quality", "provenance"):
        assert "<script>alert('x')" in page.sections[section], section


@pytest.mark.parametrize(
    "run",
    [
        {"settings": [1], "inputs": "none", "checkpoints": {"a": 1}, "environment": None, "annotations": []},
        {"inputs": [7, {"uri": 7, "rows": "many"}], "checkpoints": [None, {}], "annotations": {"models": [1, {}]}},
        {},
    ],
)
def test_an_odd_run_record_is_no_obstacle(tmp_path: Path, run: dict[str, object]) -> None:
    family = make_family(str(tmp_path), run=run)
    assert "20 synthetic images" in report(family.synthetic.uri, tmp_path / "report.html").text


def test_pictures_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    def breaks(number: int, row: dict[str, object]) -> dict[str, object]:
        return {**row, "image": {"bytes": b"\xff\xd8no jpeg", "path": "x.jpg"}, "mask": b"no png"}

    family = make_family(str(tmp_path), breaks)
    page = report(family.synthetic.uri, tmp_path / "report.html", "--samples", "1")
    assert {image["alt"].split(",")[0] for image in page.images} == {
        "Source image",
        "The person's mask",
        "The pose found: 19 limbs",
    }


def test_images_made_from_noise_have_no_source(tmp_path: Path) -> None:
    rows = noise_rows(5, ClassMap.of(PEOPLE))
    page = report(write(str(tmp_path / "noise"), "synthetic", rows).uri, tmp_path / "report.html")
    assert "5 synthetic images, made by gan_lsro." in page.sections[""]
    assert {image["alt"] for image in page.images} == {"Generated image, nobody in particular"}
    assert "Source images shown beside them" not in page.text


@pytest.mark.parametrize("kind", ["source", "annotation", "synthetic"])
@pytest.mark.parametrize("rows", [0, 8])
def test_every_kind_and_empty_ones(tmp_path: Path, kind: str, rows: int) -> None:
    tables = {"source": source_rows, "annotation": annotation_rows, "synthetic": lambda count: synthetic_rows(0, count)}
    dataset = write(str(tmp_path / "dataset"), kind, tables[kind](rows))  # type: ignore[arg-type]
    page = report(dataset.uri, tmp_path / "report.html")
    assert ("samples" in page.sections) == (rows > 0)
    assert f"{rows} " in page.sections[""]
    assert "The data set keeps no record of the run that made it." in page.sections["provenance"]


def test_annotations_are_shown_on_their_images(family: Family, tmp_path: Path) -> None:
    page = report(family.annotations.uri, tmp_path / "report.html", "--source", family.source.uri, "--samples", "2")
    assert page.sections["samples"].count("source mask pose") == 3
    assert len(page.images) == 3 * 2 * 3
    alone = report(family.annotations.uri, tmp_path / "report.html", "--samples", "2")
    assert alone.sections["samples"].count("mask pose") == 3
    assert [image["alt"] for image in alone.images] == ["The person's mask"] * 6


def test_nothing_of_the_erased_is_on_a_new_report(family: Family, tmp_path: Path) -> None:
    before = report(family.synthetic.uri, tmp_path / "before.html", "--samples", "20")
    rows = [*family.source.read().to_pylist(), *family.synthetic.read().to_pylist()]
    gone = [encode(open_image(row["image"]["bytes"])) for row in rows if row["identity"] == "0002"]  # type: ignore[arg-type]
    assert set(gone) <= {image["src"] for image in before.images}
    erase([dataset.uri for dataset in family], Request(frozenset({"0002"})))
    page = report(family.synthetic.uri, tmp_path / "after.html", "--samples", "20")
    assert not set(gone) & {image["src"] for image in page.images}
    assert "0002" not in page.text
    assert "Rows were erased." in page.sections[""]
    assert "5 rows were taken out" in page.sections[""], page.sections[""]
    assert "Planned 23 = written 15 + rejected 3 + erased 5." in page.sections["rejected"]


def test_the_same_data_sets_give_the_same_page(family: Family, tmp_path: Path) -> None:
    report(family.synthetic.uri, tmp_path / "one.html")
    report(family.synthetic.uri, tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_several_runs_are_told_apart(family: Family) -> None:
    plan = {"plan_id": family.synthetic.snapshot.plan_ids[0]}
    first = {"started": "2026-01-02T03:04:05+00:00", "run": {"job": "first", "settings": {"seed": 1}}, "plan": plan}
    rewrite_record(family.synthetic.uri, lambda state: state.update(earlier_runs=[first]))
    storage = open_storage(f"memory://{uuid.uuid4().hex}")
    place = write_report(open_dataset(family.synthetic.uri), f"{storage.uri}/deep/report.html")
    page = Page((storage.read("deep/report.html") or b"").decode())
    assert place == f"{storage.uri}/deep/report.html"
    assert "Run 1: first, 2 January 2026, 03:04 UTC" in page.sections["provenance"]
    assert "Run 2: synthesize, " in page.sections["provenance"]


def test_from_an_object_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = f"memory://{uuid.uuid4().hex}"
    family = make_family(root)
    assert main(["report", family.synthetic.uri, "--output", str(tmp_path / "report.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(tmp_path / "report.html"), "rows": 20}
    assert Page((tmp_path / "report.html").read_text()).sections["samples"].count("source mask pose generated") == 3


def test_mistakes_are_one_line(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri, output = family.synthetic.uri, str(tmp_path / "new" / "report.html")
    (tmp_path / "folder.html").mkdir()
    wrong = {
        ("--source", family.annotations.uri): "holds annotation rows: --source takes a data set of source rows",
        ("--annotations", family.source.uri): "holds source rows: --annotations takes a data set of annotation rows",
        ("--source", str(tmp_path / "nothing")): "no data set at",
        ("--output", str(tmp_path / "folder.html")): "Is a directory",
        ("--output", f"{tmp_path}/"): "names no file: give one that ends in .html",
        ("--output", "ftp://there/report.html"): "unknown scheme 'ftp'",
    }
    for arguments, told in wrong.items():
        assert main(["report", uri, "--output", output, *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert told in error, error
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
