"""Terms of what went into one image, put together."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.format.terms import (
    UNSTATED,
    Terms,
    apart,
    combined,
    firmer,
    laxer,
    of_model,
    shows_nobody,
    strictest,
    weakest,
)

BY_STRICTNESS = (
    ("CC0-1.0", "public domain", "MIT", "Apache-2.0", "CDLA-Permissive-2.0", "drawn by this project, Apache-2.0"),
    ("CC-BY-4.0", "CC BY 4.0", "ODC-By-1.0", "attribution required"),
    ("CC-BY-NC-4.0", "CC BY-NC 3.0", "for non-commercial use"),
    ("research only", "academic use, non-commercial", "for scientific research"),
    ("withdrawn by its authors", "no redistribution", "may not be redistributed", "CC-BY-NC-ND-4.0", "CC BY-ND 4.0"),
)
SHARE_ALIKE = ("CC-BY-SA-4.0", "ODbL-1.0", "GPL-3.0-only", "share-alike")
BY_WEAKNESS = (
    ("no real person: drawn by a program", "drawn by a program; shows nobody"),
    ("informed consent of everybody", "opt-in", "release form signed"),
    ("legitimate interest", "GDPR Art. 6(1)(f)", "public interest"),
    (UNSTATED, "unknown", "not recorded"),
    ("consent withdrawn", "without consent", "recorded with no consent"),
)
LICENCES = [*(one for several in BY_STRICTNESS for one in several), *SHARE_ALIKE, UNSTATED, "our campus terms"]
BASES = [*(one for several in BY_WEAKNESS for one in several), "agreed by word of mouth", "see the office"]
some_licences = st.lists(st.sampled_from(LICENCES), max_size=4)
some_bases = st.lists(st.sampled_from(BASES), max_size=4)


def test_the_stricter_licence_stands_alone() -> None:
    for lax, strict in pairwise(BY_STRICTNESS):
        for one in lax:
            for other in strict:
                assert strictest([one, other]) == other
                assert laxer(one, other)
                assert not laxer(other, one)


def test_share_alike_is_stricter_than_attribution_and_kept_beside_non_commercial() -> None:
    """Neither forbids what the other does: whoever uses the image has to keep both."""
    for one in SHARE_ALIKE:
        assert strictest(["CC-BY-4.0", one, "MIT"]) == one
        assert apart(strictest([one, "research only"])) == sorted([one, "research only"])
        assert strictest([one, "withdrawn"]) == "withdrawn"
    assert strictest(["CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"]) == "CC-BY-NC-SA-4.0"


def test_of_equals_all_are_kept() -> None:
    assert strictest(["MIT", "Apache-2.0", "MIT"]) == "Apache-2.0 AND MIT"
    assert strictest(["CC-BY-4.0", "ODC-By-1.0", "MIT"]) == "CC-BY-4.0 AND ODC-By-1.0"


@pytest.mark.parametrize("unknown", [None, "", UNSTATED])
def test_no_right_is_assumed_where_nothing_is_stated(unknown: str | None) -> None:
    assert strictest([unknown, "Apache-2.0"]) == UNSTATED
    assert strictest([unknown, "CC-BY-4.0"]) == "CC-BY-4.0 AND unstated"
    assert strictest([unknown, "our campus terms"]) == "our campus terms AND unstated"
    assert weakest([unknown, "informed consent"]) == UNSTATED
    assert strictest([]) == weakest([]) == UNSTATED


def test_a_text_that_nobody_can_compare_is_always_kept() -> None:
    assert strictest(["our campus terms", "withdrawn"]) == "our campus terms AND withdrawn"
    assert weakest(["see the office", "informed consent", "no consent"]) == "no consent AND see the office"
    assert strictest(["MIT press terms"]) == "MIT press terms"
    assert laxer("MIT", "MIT press terms")


@pytest.mark.parametrize(
    "refusal",
    [
        *("did not consent", "consent not obtained", "without any consent", "not consented", "consent: none"),
        *("consent expired", "has not agreed", "nobody agreed", "not drawn by a program: filmed", "they didn't agree"),
        *("agreed by word of mouth", "consent of the landlord", "filmed, then drawn by hand"),
    ],
)
@pytest.mark.parametrize("stronger", ["informed consent", "shows nobody", "drawn by a program; shows nobody"])
def test_no_text_that_is_not_known_as_a_whole_counts_as_consent(refusal: str, stronger: str) -> None:
    assert refusal in apart(weakest([stronger, refusal]))
    assert firmer(stronger, refusal)


@pytest.mark.parametrize(
    ("licence", "other"),
    [
        ("CC BY NC 4.0", "CC-BY-SA-4.0"),
        ("CC BY SA 4.0", "CC-BY-NC-4.0"),
        ("No commercial use, MIT", "CC-BY-4.0"),
        ("CC-BY-4.0, not in Germany", "CC-BY-NC-4.0"),
        ("research only, ask the dean", "withdrawn"),
    ],
)
def test_no_element_of_a_licence_is_lost(licence: str, other: str) -> None:
    assert licence in apart(strictest([licence, other]))
    assert laxer(other, licence)


@pytest.mark.parametrize(
    ("spaced", "stricter"),
    [("CC BY NC 4.0", "CC-BY-NC-ND-4.0"), ("CC_BY_SA_4.0", "withdrawn"), ("cc by 4.0", "GPL-3.0")],
)
def test_spaces_and_case_do_not_matter(spaced: str, stricter: str) -> None:
    assert strictest([spaced, stricter, "MIT"]) == stricter


def test_the_weaker_basis_stands_alone() -> None:
    for strong, weak in pairwise(BY_WEAKNESS):
        for one in strong:
            for other in weak:
                assert weakest([one, other]) == other
                assert firmer(one, other)
                assert not firmer(other, one)


@pytest.mark.parametrize(
    ("basis", "nobody"),
    [
        ("drawn by a program; shows nobody", True),
        ("no real person", True),
        (weakest(["drawn by a program; shows nobody", "consent"]), False),
        ("shows nobody but me", False),
        (UNSTATED, False),
    ],
)
def test_whether_nobody_is_shown(basis: str, nobody: bool) -> None:
    assert shows_nobody(basis) == nobody


def test_where_nobody_is_shown_one_way_to_say_so_is_enough() -> None:
    assert weakest(BY_WEAKNESS[0]) == "drawn by a program; shows nobody"
    assert weakest(["informed consent", "opt-in"]) == "informed consent AND opt-in"


@given(some_licences, some_licences, some_bases, some_bases)
def test_it_does_not_matter_in_which_order_things_go_in(
    one: list[str], other: list[str], bases: list[str], more: list[str]
) -> None:
    assert strictest([strictest(one or ["MIT"]), strictest(other or ["MIT"])]) == strictest(
        [*(other or ["MIT"]), *(one or ["MIT"])]
    )
    nobody = ["shows nobody"]
    assert weakest([weakest(bases or nobody), weakest(more or nobody)]) == weakest(
        [*(more or nobody), *(bases or nobody)]
    )


@given(some_licences, some_bases)
def test_nothing_that_went_in_asks_for_more_than_what_came_out(licences: list[str], bases: list[str]) -> None:
    terms = combined([Terms.of(one, other) for one, other in zip(licences, bases, strict=False)])
    for one, other in zip(licences, bases, strict=False):
        assert not laxer(terms.licence, one)
        assert not firmer(terms.consent_basis, other)


def test_a_model_hands_on_the_terms_of_its_training_sets() -> None:
    sets = {
        "source": {"licences": ["CC-BY-4.0", "MIT"], "consent_bases": ["informed consent"]},
        "target": {"licences": ["research only"], "consent_bases": ["shows nobody", "legitimate interest"]},
    }
    assert of_model("CC-BY-4.0; MIT; research only", sets) == ("research only", "legitimate interest")
    assert of_model("our terms", sets).licence == "our terms AND research only"
    assert of_model("as the training data allow", {"source": {"images": 3}}) == (UNSTATED, UNSTATED)
    assert of_model("MIT", {"source": {"licences": []}}).licence == UNSTATED


def test_a_model_that_has_only_a_sentence_about_its_training() -> None:
    assert of_model("Apache-2.0", "toy world: drawn by a program, shows nobody") == (
        "Apache-2.0",
        "toy world: drawn by a program, shows nobody",
    )
    assert of_model("Apache-2.0", "COCO keypoints 2017") == ("Apache-2.0", UNSTATED)
    assert of_model(None, None) == (UNSTATED, UNSTATED)
