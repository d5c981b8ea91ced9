"""`python -m manifests gc URI`: delete what killed writers left and no snapshot needs.

An unfinished run keeps what it has committed and goes on as before.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from manifests.commands.arguments import add_json, add_uri
from manifests.common.json_text import lenient_json
from manifests.writing.gc import GRACE_HOURS, KEPT_SNAPSHOTS, collect_garbage

HELP = "delete files that nothing refers to any more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    parser.add_argument(
        "--older-than",
        type=_hours,
        default=GRACE_HOURS,
        metavar="HOURS",
        help=f"leave younger files alone: a living writer may need them (default {GRACE_HOURS:g}; "
        f"of snapshots the newest {KEPT_SNAPSHOTS} stay whatever their age)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go and delete nothing")
    add_json(parser)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours")
    return hours


def run(options: argparse.Namespace) -> int:
    found = collect_garbage(options.uri, older_than_hours=options.older_than, dry_run=options.dry_run)
    if options.json:
        print(lenient_json({"dry_run": options.dry_run, "files": [asdict(one) for one in found]}, indent=1))
        return 0
    for one in found:
        print(f"{one.path}: {one.bytes} bytes, {one.why}")
    verb = "would be deleted" if options.dry_run else "deleted"
    print(f"{len(found)} files, {sum(one.bytes for one in found) / 1e6:.1f} MB {verb}")
    return 0
