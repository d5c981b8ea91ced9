from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from manifests.describing.markdown import quoted
from manifests.exports.folder import write_note
from manifests.exports.rows import chosen_rows
from tests.manifests.exports.export_rows import source_dataset

STRANGE = "a\n---\nlicense: mit\n---\n# x | y <b>`z`</b> [l](http://x) *e* _f_ &amp; $m$ ~~s~~ ![i](j)"
_AS_ON_THE_HUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(markdown: str) -> str:
    """The text that a reader sees; nothing else may come of it."""
    tokens = _AS_ON_THE_HUB.parse(markdown)
    kinds = [token.type for token in tokens]
    inline = [child for token in tokens for child in token.children or []]
    assert kinds == ["bullet_list_open", "list_item_open", "paragraph_open", "inline", *kinds[4:]]
    assert len(kinds) == 7
    assert {child.type for child in inline} <= {"text", "text_special"}
    return "".join(child.content for child in inline)


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1).filter(str.strip))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    words = " ".join(text.split())
    expected = "".join(one if one.isprintable() else "\ufffd" for one in words)
    assert shown(f"- {quoted(text)}") == expected


@pytest.mark.parametrize(
    "text", [STRANGE, "# h", "- l", "+ l", "1. l", "2) l", "=", "---", "> q", "[ ] t", "    c", "<!-- c"]
)
def test_what_means_something_in_markdown_is_text(text: str) -> None:
    assert shown(f"- {quoted(text)}") == " ".join(text.split())


@pytest.mark.parametrize(
    "plain", ["CC-BY-NC-4.0", "toy-market_like", "drawn by a program; shows nobody", "0007", "GPL-3.0+"]
)
def test_what_means_nothing_stays_as_it_is(plain: str) -> None:
    assert quoted(plain) == plain


def test_a_card_and_a_note_quote_what_strangers_call_their_data(uri: str, tmp_path: Path) -> None:
    def strange(number: int, row: dict[str, object]) -> None:
        row |= {"dataset_id": STRANGE, "licence": STRANGE, "domain": STRANGE, "consent_basis": "| a | b |"}

    dataset = source_dataset(uri, strange)
    write_note(tmp_path, dataset, "layout", [], chosen_rows(dataset), {"train": "train/*"})
    text = Path(uri, "README.md").read_text()
    assert DatasetCard(text).data.to_dict()["license"] == "other"
    for card in (text, (tmp_path / "README.md").read_text()):
        html = MarkdownIt("commonmark").enable("table").render(card.partition("\n---\n")[2] or card)
        assert "<b>" not in html
        assert 'href="http://x"' not in html
        assert "license: mit" in html
        assert "\nlicense: mit" not in card
    tokens = [child for token in _AS_ON_THE_HUB.parse(text) for child in token.children or []]
    read = "".join(token.content for token in tokens)
    # As data set and licence of the list, as domain, data set and licence of the table.
    assert read.count(" ".join(STRANGE.split())) == 5
