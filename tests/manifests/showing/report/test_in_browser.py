"""The report in a real Chromium: at a desk and on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.reading.dataset import open_dataset
from manifests.reading.query import rows_where
from manifests.showing.report import write_report
from tests.browser import DESKTOP, PHONE, Scheme, background, page_faults
from tests.manifests.people_rows import people_source, write
from tests.manifests.showing.report.conftest import PEOPLE, keypoints, make_family

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = "<b>" + "name" * 40


def extreme(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Names as long as can be, every score, a pose that was asked for on some rows, no picture on others."""
    scores = ("foreground_fidelity", "style_shift", "identity_similarity", "pose_error", "sharpness")
    return {
        **row,
        "identity": f"{LONG}{PEOPLE.index(row['identity'])}",
        "domain": LONG,
        "recipe": f"{LONG}{number % 12}",
        "camera": number % 7,
        "quality": dict.fromkeys(scores, (number - 7) * 100000.0),
        "keypoints": keypoints(),
        "target": {"camera": number % 7, "domain": LONG, "pose": "class 1" if number % 2 else None},
        "image": {"bytes": b"broken" if number % 3 == 0 else row["image"]["bytes"], "path": "x.png"},
    }


def usual_row(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Two cameras, and rows from left to right on the map."""
    place = {"map_x": number / 19, "map_y": number % 2 / 4}
    return {**row, "camera": 1 + number % 2, "quality": {**row["quality"], **place}}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    usual = make_family(str(root / "usual"), usual_row)
    record = {
        "settings": {LONG: LONG},
        "environment": {LONG: {LONG: LONG}},
        "inputs": [{"id": LONG, "licence": LONG, "consent": LONG, "digest": LONG, "uri": usual.source.uri}],
        "checkpoints": [{"name": LONG, "recipe": LONG, "trained_on": LONG * 9, "sha256": "e" * 64}],
    }
    odd = make_family(str(root / "odd"), extreme, record)
    empty = make_family(str(root / "empty"), lambda number, row: {**row, "camera": None})
    datasets = {"usual": usual.synthetic, "odd": odd.synthetic, "no-cameras": empty.synthetic}
    datasets |= {"source": usual.source, "annotations": usual.annotations}
    return {name: Path(write_report(one, str(root / f"{name}.html"))) for name, one in datasets.items()}


@pytest.mark.parametrize("name", ["usual", "odd", "no-cameras", "source", "annotations"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_is_drawn_without_a_fault(
    chromium: Browser, pages: dict[str, Path], name: str, scheme: Scheme, width: int
) -> None:
    assert page_faults(chromium, pages[name], width, scheme) == []


@pytest.mark.parametrize("name", ["usual", "odd"])
def test_what_a_line_is_about_stays_in_sight(chromium: Browser, pages: dict[str, Path], name: str) -> None:
    context = chromium.new_context(viewport={"width": PHONE, "height": 900})
    tab = context.new_page()
    tab.goto(pages[name].as_uri())
    table = tab.get_by_role("region", name="Inputs with licence and consent")
    about = table.locator("tbody th").first
    left = about.evaluate("one => one.getBoundingClientRect().left")
    assert table.evaluate("one => { one.scrollLeft = 150; return one.scrollLeft; }") == 150
    assert about.evaluate("one => one.getBoundingClientRect().left") == left
    assert about.evaluate("one => one.getBoundingClientRect().width") <= PHONE / 2 + 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_of_the_coverage_have_their_colours_in_the_heading(
    chromium: Browser, pages: dict[str, Path], scheme: Scheme
) -> None:
    context = chromium.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(pages["usual"].as_uri())
    colour = "all => all.map(one => getComputedStyle(one).backgroundColor)"
    card = tab.locator(".shares").first
    heading = card.locator("thead .bar").evaluate_all(colour)
    assert len(set(heading)) == 2
    assert card.locator("tbody tr").first.locator(".bar").evaluate_all(colour) == heading
    context.close()


def test_dark_is_dark(chromium: Browser, pages: dict[str, Path]) -> None:
    assert background(chromium, pages["usual"], "light") > 0.8
    assert background(chromium, pages["usual"], "dark") < 0.05


@pytest.fixture
def tab(chromium: Browser, pages: dict[str, Path]) -> Iterator[Page]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(pages["usual"].as_uri())
    yield page
    context.close()


def shown(tab: Page) -> list[str]:
    """What stands under the pictures of the list."""
    return tab.locator("#tiles .tile label").all_inner_texts()


def test_rows_are_found_by_identity_camera_and_score(tab: Page) -> None:
    field = {name: tab.locator(f"#filters [name={name}]") for name in ("person", "camera", "least", "most", "order")}
    assert len(shown(tab)) == 20
    field["person"].fill("0002")
    assert [text.split(" · ")[0] for text in shown(tab)] == ["0002"] * 5
    field["person"].fill("")
    field["least"].fill("0.3")
    field["most"].fill("0.45")
    field["order"].select_option("down")
    assert [text.split(" · ")[-1] for text in shown(tab)] == ["0.45", "0.4", "0.35", "0.3"]
    field["camera"].select_option("2")
    expect(tab.locator("#shown")).to_have_text("2 of 20 rows, page 1 of 1, 0 ticked")
    tab.get_by_role("button", name="Clear").click()
    expect(tab.locator("#shown")).to_have_text("20 of 20 rows, page 1 of 1, 0 ticked")


def test_ticked_rows_are_a_list_that_the_commands_take(tab: Page, pages: dict[str, Path], tmp_path: Path) -> None:
    dataset = open_dataset(str(pages["usual"].parent / "usual" / "synthetic"))
    for number in (7, 3):
        tab.locator("#tiles input").nth(number).check()
    where = tab.get_by_label("--where").input_value()
    assert rows_where(dataset, where).tolist() == [3, 7]
    with tab.expect_download() as saved:
        tab.get_by_role("link", name="Save as a file").click()
    saved.value.save_as(tmp_path / "ticked.txt")
    assert (tmp_path / "ticked.txt").read_text() == tab.get_by_label("erase --list FILE").input_value()
    report = erase([dataset.uri], Request.of([], [], str(tmp_path / "ticked.txt")), dry_run=True)
    assert (report.datasets[0].rows, report.not_found) == (2, ())
    tab.get_by_label("ticked only").check()
    assert len(shown(tab)) == 2


def test_a_point_of_the_map_opens_its_row(tab: Page) -> None:
    points = tab.get_by_role("img", name="A map of 20 rows")
    legend = tab.locator("#map-legend li")
    expect(legend).to_have_text(["camera 1", "camera 2"])
    tab.get_by_label("colour by").select_option(label="identity")
    expect(legend).to_have_text(PEOPLE)
    tab.get_by_label("colour by").select_option(label="Foreground change")
    expect(legend).to_have_text(["0 to 0.95"])
    box = points.bounding_box()
    assert box is not None
    points.click(position={"x": box["width"] / 2, "y": 15})
    expect(tab.get_by_role("dialog")).not_to_be_visible()
    points.click(position={"x": 16, "y": 16})
    expect(tab.get_by_role("dialog").locator("dd").last).to_have_text("0")
    expect(tab.get_by_role("dialog").locator("dd").nth(2)).to_have_text("1")


def test_pages_are_turned(chromium: Browser, tmp_path: Path) -> None:
    dataset = write(str(tmp_path / "many"), "source", people_source("market", ("0001", "0002"), 50))
    context = chromium.new_context()
    tab = context.new_page()
    tab.goto(Path(write_report(dataset, str(tmp_path / "many.html"))).as_uri())
    counts = []
    for _ in range(3):
        counts.append(len(shown(tab)))
        tab.get_by_role("button", name="Next").first.click(force=True)
    assert counts == [48, 48, 4]
    assert tab.locator("#filters [name=person]").is_visible()
    assert not tab.locator("#filters [name=score]").is_visible(), "rows of a source have no scores"
    assert tab.get_by_role("button", name="Next").first.is_disabled()
    context.close()


def test_pictures_are_enlarged_and_put_away(tab: Page) -> None:
    tab.locator("#tiles .shot").nth(2).click()
    large = tab.get_by_role("dialog")
    expect(large.locator("figcaption")).to_have_text(["source", "generated"])
    expect(large.locator("dd").last).to_have_text("0.1")
    assert large.locator("img").first.evaluate("one => one.naturalWidth") == 8
    tab.get_by_role("button", name="Close").click()
    expect(large).to_be_hidden()
    tab.locator("button.strip").first.press("Enter")
    expect(large.locator("figcaption")).to_have_text(["source", "mask", "pose", "generated"])
    tab.keyboard.press("Escape")
    expect(large).to_be_hidden()
