from __future__ import annotations

from manifests.format.names import bare_name, content_id, qualified_name, subject_key


def test_parts_keep_apart() -> None:
    assert len({content_id("ab", "c"), content_id("a", "bc"), content_id("abc"), content_id("a", "b", "c")}) == 4


def test_a_persons_key_is_the_same_for_ever_and_under_a_unions_name() -> None:
    assert subject_key("market", "0002") == "48ebc38c665fea4863e74fae90c66b50"
    assert subject_key("market", "market:0002") == subject_key("market", "0002")
    assert subject_key("duke", "market:0002") != subject_key("market", "0002")


def test_qualified_names_go_there_and_back() -> None:
    assert qualified_name("market", "0002") == qualified_name("market", "market:0002") == "market:0002"
    assert bare_name("market", "market:0002") == bare_name("market", "0002") == "0002"
    assert bare_name("duke", "market:0002") == "market:0002"
