#!/usr/bin/env bash
# datasets 5.2.0, litdata 0.2.76 and mosaicml-streaming 0.13.0 with Pillow 13.0.0: a face that was blacked out is written as it was.
#
# Behaviour: a picture that Pillow opened from a file remembers the file's name. All three writers take that as licence to store
# the file's bytes in place of the picture: `datasets` for any format (`map`, `from_list`), litdata and `streaming` (its `jpeg`) for
# JPEG. What was done to the picture itself, by ImageDraw, `paste`, `putpixel` or `thumbnail`, is lost, with no message; what makes
# a new picture (`copy`, `convert`, `resize`) is kept. `datasets` while streaming keeps the edit, so that a look at the first rows
# shows black faces and the set that is then written has none; of pictures whose bytes lie in a Parquet file it keeps it, too.
# Why it matters: hiding faces is what makes a set of people fit to be passed on, and drawing a rectangle is how it is done.
# Seen: is the face hidden? datasets map False, map of a copy True, streaming True, of bytes True; litdata False, of a copy True;
#       mosaicml-streaming False, of a copy True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
uv() { "$folder/venv/bin/uv" "$@"; }
uv venv --quiet "$folder/first"
uv venv --quiet "$folder/second"  # streaming asks for older libraries than datasets
common=(pillow==13.0.0 torch==2.15.0 torchvision==0.29.2)
uv pip install --quiet --python "$folder/first/bin/python" datasets==5.2.0 litdata==0.2.76 "${common[@]}"
uv pip install --quiet --python "$folder/second/bin/python" mosaicml-streaming==0.13.0 "${common[@]}"
cd "$folder"
cat > hide.py <<'PY'
import sys
from pathlib import Path

from PIL import Image, ImageDraw

PERSON = "0002_c1s1_000001_00.jpg"


def hide(picture: Image.Image) -> Image.Image:
    ImageDraw.Draw(picture).rectangle((16, 8, 48, 40), fill=0)
    return picture


def both(path: str) -> dict[str, Image.Image]:
    return {"in place": hide(Image.open(path)), "copy": hide(Image.open(path).copy())}


def hidden(picture: Image.Image) -> bool:
    return max(picture.convert("RGB").getpixel((32, 20))) < 10


def by_datasets() -> list[bool]:
    import datasets

    datasets.disable_progress_bars()
    files = datasets.Dataset.from_dict({"image": [PERSON]}).cast_column("image", datasets.Image())
    row = {"image": {"bytes": Path(PERSON).read_bytes(), "path": None}}
    held = datasets.Dataset.from_list([row], features=files.features)
    ways = (
        files.map(lambda row: {"image": hide(row["image"])}),
        files.map(lambda row: {"image": hide(row["image"].copy())}),
        files.to_iterable_dataset().map(lambda row: {"image": hide(row["image"])}),
        held.map(lambda row: {"image": hide(row["image"])}),
    )
    return [hidden(next(iter(rows))["image"]) for rows in ways]


def by_litdata() -> list[bool]:
    import litdata
    from torchvision.transforms.functional import to_pil_image

    litdata.optimize(both, [PERSON], output_dir="litdata", chunk_bytes="1MB", num_workers=1)
    row = litdata.StreamingDataset("litdata")[0]
    pictures = (one if isinstance(one, Image.Image) else to_pil_image(one) for one in row.values())
    return [hidden(picture) for picture in pictures]


def by_streaming() -> list[bool]:
    from streaming import LocalDataset, MDSWriter

    with MDSWriter(out="mds", columns={"in place": "jpeg", "copy": "jpeg"}) as writer:
        writer.write(both(PERSON))
    row = LocalDataset("mds")[0]
    return [hidden(row[name]) for name in ("in place", "copy")]


EXPECTED = {by_datasets: [False, True, True, True], by_litdata: [False, True], by_streaming: [False, True]}
if __name__ == "__main__":
    Image.new("RGB", (64, 128), (200, 180, 160)).save(PERSON, quality=95)
    assert all(hidden(picture) for picture in both(PERSON).values())
    for library, expected in EXPECTED.items():
        if library.__name__ in sys.argv:
            found = library()
            print(library.__name__, "hidden", found, flush=True)
            assert found == expected
PY
export HOME="$folder" TMPDIR="$folder" HF_HUB_OFFLINE=1
first/bin/python hide.py by_datasets by_litdata 2> errors.log | grep hidden || { cat errors.log >&2; exit 1; }
second/bin/python hide.py by_streaming 2> errors.log | grep hidden || { cat errors.log >&2; exit 1; }
