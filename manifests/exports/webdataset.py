"""WebDataset: tar shards of ``ID.jpg`` (the image, in its own format) and ``ID.json`` (all else; ``ID.mask.png``).

A shard is ``SPLIT-NNNNNN.tar``. The same rows give the same bytes: members have no time, no owner and a fixed order.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.common.json_text import lenient_json
from manifests.exports.file_names import key_of, split_of
from manifests.exports.folder import Exported, write_note
from manifests.exports.rows import chosen_rows, image_file, read_rows
from manifests.exports.signed import signed_folder
from manifests.format.schema import ROW_ID, SPLITS
from manifests.reading.dataset import Dataset
from manifests.reading.query import PICTURES
from manifests.signing.claims import Signer

SHARD_BYTES = 256 << 20
CLASSES = "classes.json"


def export_webdataset(
    dataset: Dataset,
    output: str,
    where: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    signer: Signer | None = None,
) -> Exported:
    """Write the rows for which ``where`` holds, or all, as tar shards of at most ``shard_bytes`` at ``output``.

    A row that is larger by itself gets a shard of its own. One row group is in memory at a time.

    Raises:
        UserError: `signed_folder`'s and `chosen_rows`' reasons.

    Example:
        >>> from pathlib import Path
        >>> from manifests import export_webdataset, open_dataset
        >>> done = export_webdataset(open_dataset("runs/synthetic"), "webdataset")
        >>> done.images, sorted(path.name for path in Path("webdataset").glob("*.tar"))
        (6, ['train-000000.tar'])
    """
    rows = chosen_rows(dataset, where)
    with signed_folder(output, dataset, signer, rows) as folder:
        with contextlib.ExitStack() as stack:
            shards: dict[str, _Shards] = {}
            for row in read_rows(dataset, rows):
                split = split_of(dataset, row[ROW_ID[dataset.kind]], row["split"])
                if split not in shards:
                    shards[split] = stack.enter_context(contextlib.closing(_Shards(folder, split, shard_bytes)))
                shards[split].add(_sample(dataset, row, signer))
        if dataset.classes is not None:
            (folder / CLASSES).write_text(dataset.classes.to_json() + "\n", encoding="utf-8")
        # Hugging Face takes the types of all from the first samples of the last: training rows have an identity.
        patterns = {split: f"{split}-*.tar" for split in reversed(SPLITS) if split in shards}
        write_note(folder, dataset, "WebDataset shards", _HOW_TO_READ, rows, patterns)
    return Exported(output, len(rows))


def _sample(dataset: Dataset, row: Mapping[str, Any], signer: Signer | None) -> dict[str, bytes]:
    """The members of one sample by name."""
    key = key_of(dataset, row[ROW_ID[dataset.kind]])
    image, suffix = image_file(dataset, row, signer)
    facts = {name: value for name, value in row.items() if name not in PICTURES}
    members = {
        f"{key}.{suffix}": image,
        f"{key}.json": lenient_json(facts, sort_keys=True, ensure_ascii=False).encode(),
    }
    return members | ({f"{key}.mask.png": row["mask"]} if row.get("mask") else {})


class _Shards:
    """The tar files of one split: a sample goes into the last, or into a new one where it would grow too large."""

    def __init__(self, folder: Path, split: str, shard_bytes: int) -> None:
        self._folder, self._split, self._limit = folder, split, shard_bytes
        self._count = 0
        self._tar: tarfile.TarFile | None = None

    def add(self, members: Mapping[str, bytes]) -> None:
        size = sum(tarfile.BLOCKSIZE + _padded(len(data), tarfile.BLOCKSIZE) for data in members.values())
        if self._tar is None or _padded(self._tar.offset + size + 2 * tarfile.BLOCKSIZE) > self._limit:
            self._tar = self._next()
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            self._tar.addfile(member, io.BytesIO(data))

    def _next(self) -> tarfile.TarFile:
        self.close()
        path = self._folder / f"{self._split}-{self._count:06d}.tar"
        self._count += 1
        return tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()


def _padded(size: int, block: int = tarfile.RECORDSIZE) -> int:
    return -(-size // block) * block


_HOW_TO_READ = [
    "```python\nimport glob\n\nimport webdataset as wds\n\n"
    'shards = sorted(glob.glob("train-*.tar"))\n'
    'samples = wds.WebDataset(shards, shardshuffle=100).shuffle(1000).decode("pil")\n'
    'for image, facts in samples.to_tuple("jpg;png;webp", "json"):\n'
    '    print(image.size, facts["identity"], facts["camera"])\n```\n',
    "Rows lie in the data set's order, sorted by person: shuffle shards and samples. `soft_label` lists the classes "
    f"that differ from `soft_label_rest`, the value of all others; `{CLASSES}` numbers the identities.",
]
