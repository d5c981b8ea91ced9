"""Make a source data set from Python, without a job: rows of your own, written so that none is lost or doubled.

    python examples/make_dataset.py --images people --output runs/people

``people/`` holds a folder for each person, whose files begin with the number of the camera: ``people/anna/1_0007.jpg``.
Whatever stops it, run it again: shards that are there are not written anew.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from manifests import SCHEMAS, DatasetRun, content_id, open_dataset, validate

NAME = "people"
ROWS_IN_A_SHARD = 1000


def row(folder: Path, path: Path) -> dict[str, Any]:
    """One row; a column that is left out is null. `manifests.format.columns` says what each one means."""
    data, place = path.read_bytes(), path.relative_to(folder).as_posix()
    sha256 = hashlib.sha256(data).hexdigest()
    with Image.open(path) as picture:
        width, height = picture.size
    return {
        "image_id": content_id(NAME, place, sha256),
        "image": {"bytes": data, "path": path.name},
        **{"image_sha256": sha256, "width": width, "height": height},
        **{"identity": path.parent.name, "camera": int(path.name.partition("_")[0])},
        **{"domain": NAME, "split": "train", "role": "person"},
        **{"relative_path": place, "dataset_id": NAME, "licence": "CC-BY-4.0", "consent_basis": "signed consent"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("people"))
    parser.add_argument("--output", default="runs/people")
    options = parser.parse_args()

    paths = sorted(options.images.glob("*/*.jpg"))
    shards = [paths[first : first + ROWS_IN_A_SHARD] for first in range(0, len(paths), ROWS_IN_A_SHARD)]
    plan = content_id(NAME, *map(str, paths))  # another list of files is another plan, and asks for another output
    run = DatasetRun.start(options.output, "source", plan, {number: len(files) for number, files in enumerate(shards)})
    for number in run.pending():
        rows = [row(options.images, path) for path in shards[number]]
        run.sink.commit(number, pa.Table.from_pylist(rows, schema=SCHEMAS["source"]))
    run.close()
    print(validate(options.output).to_text())
    print("people:", sorted(open_dataset(options.output).scan().collect()["identity"].unique()))


if __name__ == "__main__":
    main()
