"""`python -m tests.fuzz`: every target in its share of the time, then the table; status 1 where anything failed.

python -m tests.fuzz --minutes 10 --seed 3 --output fuzz.md
python -m tests.fuzz --only records,pictures --minutes 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.chaos.page import grid, write_page
from tests.fuzz import annotations as keypoints_and_masks
from tests.fuzz import cards, generators, names, pictures, records, sql
from tests.fuzz.hunt import Findings
from tests.fuzz.isolation import explore
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    name: target
    for module in (names, records, cards, pictures, sql, generators, keypoints_and_masks)
    for name, target in module.TARGETS.items()
}
_LEAST_SECONDS = 5.0
"""For each target, also where those before it took longer."""
HEAD = ("target", "cases", "uncaught failures")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the targets that were asked for; 0 where nothing failed."""
    options = _parser().parse_args(arguments)
    asked = options.only.split(",") if options.only else list(TARGETS)
    if unknown := [name for name in asked if name not in TARGETS]:
        print(f"error: --only {unknown[0]}: known are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    begun = time.monotonic()
    found = explore_all(asked, options.minutes, options.seed)
    minutes = (time.monotonic() - begun) / 60
    text = grid([HEAD, *((name, str(one.cases), str(len(one.failures))) for name, one in found.items())])
    failures = [f"{name}: {failure}" for name, one in found.items() for failure in one.failures.values()]
    print(f"\n{text}\n")
    for failure in failures:
        print(f"uncaught: {failure}")
    print(f"{sum(one.cases for one in found.values())} cases in {minutes:.1f} minutes, seed {options.seed}")
    if options.output is not None:
        about = f"`make fuzz`: {minutes:.1f} minutes, seed {options.seed}."
        write_page(options.output, "Hostile input", text, failures, about)
    return 1 if failures or not all(one.cases for one in found.values()) else 0


def explore_all(names: Sequence[str], minutes: float, seed: int) -> Mapping[str, Findings]:
    """What each target came to; time that one leaves goes to those after it."""
    end = time.monotonic() + 60 * minutes
    found = {}
    for number, name in enumerate(names):
        left = sum(TARGETS[one].share for one in names[number:])
        now = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
            share = max(_LEAST_SECONDS, (end - now) * TARGETS[name].share / left)
            found[name] = explore(TARGETS[name], seed, share, Path(folder))
        print(f"{name}: {found[name].cases} cases, {len(found[name].failures)} uncaught failures", flush=True)
    return found


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=form)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, in all (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default 0)")
    parser.add_argument("--only", metavar="TARGET,...", help=f"some of {', '.join(TARGETS)}; by default all")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="write the table with date, machine and commit")
    return parser


if __name__ == "__main__":
    sys.exit(main())
