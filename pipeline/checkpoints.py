"""Checkpoints by name, path or URL: found, fetched, checked and read without running anything that they hold.

``python -m pipeline.checkpoints list|fetch|verify`` shows what is known, fetches ahead of a run, and checks
what is here. Fetched files lie in ``$REID_SYNTH_CACHE/checkpoints`` (by default below ``~/.cache/reid-synth``);
``REID_SYNTH_MIRROR=http://host/folder`` takes the place of the scheme and host of the table's URLs.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from manifests.errors import UserError
from manifests.json_text import json_text
from pipeline.checkpoint_download import Source, download, file_sha256
from pipeline.checkpoint_state import load_metadata, load_state, save_state
from pipeline.checkpoint_table import CHECKPOINTS, WEIGHTS_FOLDER, Card, Checkpoint, Format, shipped

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CHECKPOINTS",
    "Card",
    "Checkpoint",
    "cache_folder",
    "file_sha256",
    "load_metadata",
    "load_state",
    "locate",
    "resolve",
    "save_state",
    "ship",
]


def cache_folder() -> Path:
    """Where fetched checkpoints lie; read from the environment at each call."""
    own = os.environ.get("REID_SYNTH_CACHE")
    if own:
        return Path(own).expanduser() / "checkpoints"
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "reid-synth" / "checkpoints"


def locate(checkpoint: Checkpoint) -> Path:
    """Where the file of a named checkpoint lies, or will lie when it is fetched."""
    return checkpoint.path or cache_folder() / checkpoint.file_name


def resolve(name_or_path: str | Path) -> Path:
    """The local file of a checkpoint, fetched if need be, its digest checked where one is known.

    Args:
        name_or_path: a name of `CHECKPOINTS`, a path, a ``file://`` URI (``#sha256=...`` optional), or an
            ``http(s)://`` URL with ``#sha256=`` and 8 to 64 hex digits.

    Raises:
        UserError: unknown name, no such file, wrong digest, nothing to be had from the network.
    """
    text = str(name_or_path)
    if text in CHECKPOINTS:
        return _resolve_named(CHECKPOINTS[text])
    if text.startswith(("http://", "https://")):
        return _resolve_url(text)
    if text.startswith("file:"):
        return _resolve_file_uri(text)
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if path.exists() or path.parent != Path() or path.suffix:
        raise UserError(f"no checkpoint file at {path}")
    near = get_close_matches(text, CHECKPOINTS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(CHECKPOINTS)}"
    raise UserError(f"unknown checkpoint {text!r}; {hint}")


def _resolve_named(checkpoint: Checkpoint) -> Path:
    if checkpoint.url:
        return _cached(
            Source(checkpoint.name, _mirrored(checkpoint.url), checkpoint.sha256, checkpoint.size_bytes),
            locate(checkpoint),
        )
    path = locate(checkpoint)
    if not path.is_file():
        raise UserError(f"the shipped checkpoint {checkpoint.name} is missing: no file {path}")
    _check(path, checkpoint.sha256)
    return path


def _resolve_url(text: str) -> Path:
    url, digest = _split_digest(text)
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not digest or not name:
        raise UserError(f"{url}: give the file's digest too, as URL#sha256=<at least 8 hex digits>")
    return _cached(Source(name, url, digest), cache_folder() / f"{digest[:16]}-{name}")


def _resolve_file_uri(text: str) -> Path:
    uri, digest = _split_digest(text)
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost"):
        raise UserError(f"{uri} names the host {parts.netloc!r}; a local file is file:///absolute/path")
    if not path.is_file():
        raise UserError(f"no checkpoint file at {path}")
    _check(path, digest)
    return path


def _split_digest(text: str) -> tuple[str, str]:
    """A URL without its fragment, and the SHA-256 digits of the fragment ("" without a fragment)."""
    url, _, fragment = text.partition("#")
    digest = fragment.removeprefix("sha256=").lower()
    if fragment and not (fragment.startswith("sha256=") and re.fullmatch(r"[0-9a-f]{8,64}", digest)):
        raise UserError(f"{url}: {fragment!r} is not sha256= with 8 to 64 hex digits")
    return url, digest


def _mirrored(url: str) -> str:
    mirror = os.environ.get("REID_SYNTH_MIRROR", "").rstrip("/")
    return mirror + urlsplit(url).path if mirror else url


def _cached(source: Source, target: Path) -> Path:
    if target.exists():
        try:
            _check(target, source.sha256)
        except UserError as error:
            target.unlink()
            raise UserError(f"{error}; it was removed, the same command fetches it again") from None
    else:
        download(source, target)
    return target


def _check(path: Path, sha256: str) -> None:
    found = file_sha256(path)
    if not found.startswith(sha256):
        raise UserError(f"{path} is not what it should be: expected SHA-256 {sha256}, got {found}")


def ship(
    name: str,
    tensors: Mapping[str, Tensor],
    *,
    format: Format,
    licence: str,
    trained_on: str,
    command: str,
    metrics: Mapping[str, float],
    config: str | None = None,
    metadata: Mapping[str, str] | None = None,
    folder: Path = WEIGHTS_FOLDER,
) -> Checkpoint:
    """Write a shipped checkpoint's two files, the weights and then their card, and make its name known."""
    weights = folder / f"{name}.safetensors"
    save_state(tensors, weights, metadata)
    card = Card(
        name=name,
        format=format,
        sha256=file_sha256(weights),
        licence=licence,
        trained_on=trained_on,
        command=command,
        metrics=dict(metrics),
        config=config,
    )
    temporary = folder / f".{name}.{os.getpid()}.json.tmp"
    temporary.write_text(card.model_dump_json(indent=2, exclude_none=True) + "\n", "utf-8")
    temporary.replace(folder / f"{name}.json")
    CHECKPOINTS[name] = shipped(folder)[name]
    return CHECKPOINTS[name]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 1 where `verify` found a missing or wrong file, or 2 for an error."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.checkpoints",
        description="Show, fetch and check the checkpoints known by name.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, names, text in (
        ("list", None, "what is known, and what is here"),
        ("fetch", "+", "fetch by name (or URL#sha256=...) and check"),
        ("verify", "*", "check the digests of all that is here, or of NAME..."),
    ):
        one = commands.add_parser(command, help=text, description=text)
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON on stdout")
        if names:
            one.add_argument("names", nargs=names, metavar="NAME")
    options = parser.parse_args(arguments)
    try:
        if options.command == "list":
            rows = [_row(checkpoint) for checkpoint in CHECKPOINTS.values()]
        elif options.command == "fetch":
            rows = [_fetched(name) for name in options.names]
        else:
            rows = _verified(options.names)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json_text(rows, indent=2) if options.json else _table(rows))
    return int(any(row.get("state") in ("wrong", "missing") for row in rows if options.command == "verify"))


def _row(checkpoint: Checkpoint) -> dict[str, Any]:
    here = locate(checkpoint).is_file()
    return {
        "name": checkpoint.name,
        "format": checkpoint.format,
        "size_bytes": checkpoint.size_bytes,
        "licence": checkpoint.licence,
        "state": ("shipped" if checkpoint.path else "cached") if here else "not here",
        "sha256": checkpoint.sha256,
        "trained_on": checkpoint.trained_on,
        "source": checkpoint.source,
        "config": checkpoint.config,
        "url": checkpoint.url,
        "path": str(locate(checkpoint)),
    }


def _fetched(name: str) -> dict[str, Any]:
    path = resolve(name)
    return {
        "name": name if name in CHECKPOINTS else path.name,
        "size_bytes": path.stat().st_size,
        "state": "here",
        "sha256": file_sha256(path),
        "path": str(path),
    }


def _verified(names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a checkpoint: the digest found and whether it is right. Without names, all that is here."""
    unknown = [name for name in names if name not in CHECKPOINTS]
    if unknown:
        raise UserError(f"unknown checkpoint {unknown[0]!r}; known: {', '.join(CHECKPOINTS)}")
    rows = []
    for checkpoint in [CHECKPOINTS[name] for name in names] or CHECKPOINTS.values():
        path = locate(checkpoint)
        if path.is_file():
            found = file_sha256(path)
            state = "right" if found.startswith(checkpoint.sha256) else "wrong"
        elif names or checkpoint.path:
            found, state = None, "missing"
        else:
            continue
        rows.append(
            {
                "name": checkpoint.name,
                "state": state,
                "expected": checkpoint.sha256,
                "sha256": found,
                "path": str(path),
            }
        )
    return rows


_SHOWN = ("name", "format", "size_bytes", "licence", "state", "sha256")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned columns: sizes in MB, digests by their first 12 digits."""
    if not rows:
        return f"nothing in {cache_folder()}"
    columns = [column for column in _SHOWN if column in rows[0]]
    lines = [[column.removesuffix("_bytes") for column in columns]]
    lines += [[_cell(column, row[column]) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if column == "size_bytes":
        return f"{int(str(value)) / 1e6:.1f} MB"
    return str(value)[:12] if column == "sha256" else str(value)


if __name__ == "__main__":
    sys.exit(main())
