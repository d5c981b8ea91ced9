from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from manifests.showing.page import amount, clip, figure, moment, plain, render_page, size


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (amount(1234567), "1,234,567"),
        (figure(0.123456), "0.123"),
        (figure(-12.0), "−12"),
        (figure(-12345.6), "−12,346"),
        (figure(1234567.8), "1.23e+06"),
        (figure(float("nan")), "–"),
        (size(999), "999 B"),
        (size(12_345), "12.3 kB"),
        (size(123_456_789), "123 MB"),
        (size(7_000_000_000_000), "7.0 TB"),
        (moment("2026-11-02T09:05:00+00:00"), "2 November 2026, 09:05 UTC"),
        (moment("yesterday"), "yesterday"),
        (plain({"a": "b", "c": {"d": [1, None, "é", True, []]}}), "a b, c d 1, –, é, true, –"),
        (clip("abcdef", 4), "abc…"),
        (clip(None, 4), "None"),
    ],
)
def test_how_values_are_told(told: str, text: str) -> None:
    assert told == text


def test_values_are_escaped_and_none_is_forgotten(tmp_path: Path) -> None:
    template = tmp_path / "one.html"
    template.write_text("{% extends 'page.html' %}{% block content %}<p title=\"{{ a }}\">{{ a }}</p>{% endblock %}")
    page = render_page(template, a="<&\"'>")
    assert '<p title="&lt;&amp;&#34;&#39;&gt;">&lt;&amp;&#34;&#39;&gt;</p>' in page
    assert "default-src 'none'" in page
    with pytest.raises(UndefinedError):
        render_page(template)
