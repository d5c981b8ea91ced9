"""What a layout is: how the files of a published ReID data set are named and split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.sources.files import SourceFile, SourceRoot


@dataclass(frozen=True)
class ScanOptions:
    """What some layouts need to know besides their folder.

    ``variant`` picks one of several sets of crops (``detected`` or ``labeled``, ``single_shot`` or
    ``multi_shot``); ``split_file`` and ``split_index`` a train/test split; ``labels`` a table of labels.
    """

    variant: str | None = None
    split_file: Path | None = None
    split_index: int = 0
    labels: Path | None = None


@dataclass(frozen=True)
class Layout:
    """A layout's reader.

    ``scan`` returns every image file, sorted and deterministic, faults included; it raises `LayoutError`
    where the folder is laid out otherwise. ``recognises`` says whether a folder looks like this layout.
    ``options`` names the `ScanOptions` that it understands; ``notice`` is printed, and with ``must_accept``
    has to be accepted.
    """

    name: str
    scan: Callable[[SourceRoot, ScanOptions], list[SourceFile]]
    recognises: Callable[[SourceRoot], bool]
    options: tuple[str, ...] = ()
    notice: str | None = None
    must_accept: bool = False
    licence: str | None = None
    consent_basis: str | None = None


class LayoutError(Exception):
    """The folder is not of this layout; the message says what was looked for and what was found instead."""
