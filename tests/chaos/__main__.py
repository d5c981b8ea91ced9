"""`python -m tests.chaos`: every part in its share of the time, then the table; status 1 where anything was not right.

python -m tests.chaos --minutes 20 --seed 3 --output chaos.md
python -m tests.chaos --only kills,tools --minutes 2
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.chaos import disk, kills, nodes, signals, starts, stores, tools
from tests.chaos.bench import Bench, Part
from tests.chaos.page import write_page
from tests.chaos.tally import Tally, table

PARTS = {
    "kills": Part(0.15, kills.run),
    "starts": Part(0.05, starts.run),
    "tools": Part(0.1, tools.run),
    "disk": Part(0.05, disk.run),
    "stores": Part(0.1, stores.run),
    "nodes": Part(0.15, nodes.run),
    "signals": Part(0.4, signals.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; 0 where all ended right."""
    options = _parser().parse_args(arguments)
    asked = options.only.split(",") if options.only else list(PARTS)
    if unknown := [name for name in asked if name not in PARTS]:
        print(f"error: --only {unknown[0]}: known are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    # Of processes that were killed a helper of Python's says at the end that they left semaphores behind.
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker:UserWarning"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        tallies = run_parts(asked, Path(folder), options)
    text = table(tallies)
    problems = [problem for tally in tallies for problem in tally.problems]
    print(f"\n{text}\n")
    for problem in problems:
        print(f"not right: {problem}")
    minutes = (time.monotonic() - begun) / 60
    print(f"{sum(tally.times for tally in tallies)} faults in {minutes:.1f} minutes, seed {options.seed}")
    if options.output is not None:
        about = f"`make chaos`: {minutes:.1f} minutes, seed {options.seed}."
        write_page(options.output, "Faults on purpose", text, problems, about)
    return 0 if all(tally.well for tally in tallies) else 1


def run_parts(names: Sequence[str], folder: Path, options: argparse.Namespace) -> list[Tally]:
    """The rows of the table; time that a part leaves goes to those after it."""
    end = time.monotonic() + 60 * options.minutes
    tallies = []
    for number, name in enumerate(names):
        left = sum(PARTS[one].share for one in names[number:])
        now = time.monotonic()
        until = now + (end - now) * PARTS[name].share / left
        place = folder / name
        place.mkdir()
        random = np.random.Generator(np.random.Philox([options.seed, list(PARTS).index(name)]))
        for tally in PARTS[name].run(Bench(place, random, until, options.scale, options.fault)):
            if options.fault in tally.fault:
                print(f"{name}: {', '.join(tally.cells())}", flush=True)
                tallies.append(tally)
    return tallies


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__, formatter_class=form)
    parser.add_argument("--minutes", type=float, default=20.0, help="when it ends at the latest, nearly (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--only", metavar="PART,...", help=f"some of {', '.join(PARTS)}; by default all")
    parser.add_argument("--fault", default="", metavar="WORDS", help="only the faults with these words in their name")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full counts (default 1)")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="write the table with date, machine and commit")
    return parser


if __name__ == "__main__":
    sys.exit(main())
