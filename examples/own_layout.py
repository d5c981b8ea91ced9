"""Read a folder whose file names no built-in layout knows: say what a name means, and ingest does the rest.

    python examples/own_layout.py --root our-cameras --output runs/ours

The files here are called ``lobby_anna_00031.jpg``: place of the camera, person, frame. What cannot be read that way is
in the rejects with its reason, and stops nothing.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pipeline.sources.files import Entry, Fault, SourceFile, SourceRoot, faulty, finish
from pipeline.sources.ingest import ingest, make_plan, summarize
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions
from pipeline.sources.reading import Provenance

CAMERAS = {"lobby": 1, "stairs": 2, "yard": 3}
_NAME = re.compile(rf"({'|'.join(CAMERAS)})_([a-z]+)_(\d{{1,9}})", re.ASCII)


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    files = [read(entry) for entry in root.images(recursive=True)]
    if not files:
        raise LayoutError(f"looked for images, found {root.shown()}")
    return finish(files)


def read(entry: Entry) -> SourceFile:
    """What the name says of a file; a file that may not be opened keeps the fault that it was found with."""
    match = _NAME.fullmatch(entry.stem)
    if match is None:
        return faulty(entry, "train", Fault("unparsable_name", "not a name like lobby_anna_00031.jpg"))
    place, person, frame = match.groups()
    return SourceFile(
        entry.relative_path,
        entry.size,
        "train",
        identity=person,
        camera=CAMERAS[place],
        frame=int(frame),
        fault=entry.fault,
    )


OURS = Layout(name="ours", scan=scan, recognises=lambda root: any(_NAME.fullmatch(e.stem) for e in root.images()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("our-cameras"))
    parser.add_argument("--output", default="runs/ours")
    options = parser.parse_args()

    provenance = Provenance(dataset_id="ours", domain="ours", licence="CC-BY-4.0", consent_basis="signed consent")
    plan = make_plan(options.root, OURS, provenance)
    dataset = ingest(options.root, plan, provenance, options.output)
    print("\n".join(summarize(dataset).lines()))


if __name__ == "__main__":
    main()
