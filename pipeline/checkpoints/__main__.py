"""`python -m pipeline.checkpoints list|fetch|verify`: what is known, fetched ahead of a run, checked where it lies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.common.json_text import json_text
from manifests.errors import UserError
from pipeline.checkpoints import CHECKPOINTS, Checkpoint, cache_folder, file_sha256, locate, resolve
from pipeline.common.known import check_known


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
    check_known("checkpoint", names, CHECKPOINTS)
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
