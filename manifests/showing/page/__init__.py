"""Pages for people: one HTML file that holds all it shows, asks nobody for anything, and runs no script but its own.

A template extends ``page.html``, which brings the style sheet, light and dark, and a content security policy under
which a browser fetches nothing, and runs nothing but the page's one script, known by its digest. Every value is
escaped: names come from whoever made the data.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from manifests.common.json_text import lenient_json
from manifests.errors import UserError
from manifests.storage.whole_files import open_storage

_HERE = resources.files(__name__)
_JOINTS = re.compile(r"([_+/])(?=\w)")


def render_page(
    template: Traversable, parts: Sequence[Traversable] = (), scripts: Sequence[Traversable] = (), /, **values: Any
) -> str:
    """The page that ``template``, which may include ``parts``, makes of ``values``; ``scripts`` run at its end."""
    texts = tuple((file.name, file.read_text(encoding="utf-8")) for file in (_HERE / "page.html", template, *parts))
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    code = "\n".join(script.read_text(encoding="utf-8") for script in scripts)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    values |= {
        "style": style,
        "script": Markup(code),
        "script_source": Markup(f"'sha256-{digest}'") if code else "'none'",
    }
    return _environment(texts).get_template(template.name).render(values)


@cache
def _environment(texts: tuple[tuple[str, str], ...]) -> Environment:
    """What keeps the templates of these (name, text), compiled: that takes longer than to fill them."""
    jinja = Environment(
        loader=DictLoader(dict(texts)), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for one in (amount, figure, size, moment, clip, plain, broken):
        jinja.filters[one.__name__] = one
    return jinja


def write_page(output: str, text: str) -> str:
    """Write a page to the path or URI ``output``, whole or not at all; returns where it lies.

    Raises:
        UserError: ``output`` names no file, or cannot be written.
    """
    folder, slash, name = output.rpartition("/")
    if not PurePosixPath(name).suffix:
        raise UserError(f"{output or 'the output'} names no file: give one that ends in .html")
    storage = open_storage(folder or slash or ".")
    storage.write(name, text.encode("utf-8", "replace"))
    return storage.locate(name)


def amount(value: int) -> str:
    """A count, its thousands set apart."""
    return f"{value:,}"


def figure(value: float) -> str:
    """A measured value in three figures."""
    if not math.isfinite(value):
        return "–"
    return (f"{value:,.0f}" if 1000 <= abs(value) < 1e5 else f"{value:.3g}").replace("-", "−")


def size(count: int) -> str:
    """A number of bytes in the unit that people think in."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def moment(text: str) -> str:
    """An ISO time as people write it; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(text):%d %B %Y, %H:%M %Z}".strip().lstrip("0")
    except ValueError:
        return text


def plain(value: object) -> str:
    """A value of a JSON file as people read it: no quotes, no brackets, a dash for nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "–"
    return value if isinstance(value, str) else "–" if value is None else lenient_json(value)


def clip(value: object, most: int = 80) -> str:
    """The text of ``value``, cut where it is longer than ``most``."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def broken(name: object) -> Markup:
    """A name of several words, which may go on in the next line after each of them."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(name))))
