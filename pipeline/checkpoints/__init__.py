"""Checkpoints by name, path or URL: found, fetched, checked and read without running anything that they hold.

Fetched files lie in ``$REID_SYNTH_CACHE/checkpoints`` (by default below ``~/.cache/reid-synth``);
``REID_SYNTH_MIRROR=http://host/folder`` takes the place of the scheme and host of the table's URLs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from manifests.common.replacing import write_whole
from manifests.errors import UserError
from pipeline.checkpoints.downloads import Source, download, file_sha256
from pipeline.checkpoints.state import load_metadata, load_state, save_state
from pipeline.checkpoints.table import CHECKPOINTS, WEIGHTS_FOLDER, Card, Checkpoint, Format, shipped

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
    write_whole(folder / f"{name}.json", (card.model_dump_json(indent=2, exclude_none=True) + "\n").encode())
    CHECKPOINTS[name] = shipped(folder)[name]
    return CHECKPOINTS[name]
