"""A folder ready for the Hugging Face Hub: a copy of the data set's newest state, with its card.

`datasets.load_dataset(FOLDER)` shows the images; ``hf upload NAME FOLDER --repo-type dataset`` publishes them.
The copy is still a data set of ours, so that `validate` and `trace` work on what somebody downloaded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from tqdm import tqdm

from manifests.attestation import STATEMENT
from manifests.card import CARD, SAMPLES_META
from manifests.croissant import CROISSANT
from manifests.dataset import Dataset
from manifests.erasures import ERASURES
from manifests.exports.folder import Exported, new_folder
from manifests.log import RUN, SNAPSHOTS, commit_path, dump, snapshot_path

_CHUNK = 1 << 20
_BEFORE_PUBLISHING = (
    f"{RUN} and the snapshot in {SNAPSHOTS} hold the settings of its runs with their paths: "
    "read them, and the card, before you publish"
)
_BESIDE = (CARD, SAMPLES_META, CROISSANT, STATEMENT, ERASURES)


def export_huggingface(dataset: Dataset, output: str) -> Exported:
    """Copy the files of the newest snapshot to ``output``; on one disk shards are linked and take no space.

    A shard is never changed in place, so neither side can change the other's.

    Raises:
        UserError: `new_folder`'s reasons, or a file is missing.
    """
    dataset_files = (*dataset.snapshot.files, *dataset.snapshot.rejects)
    records = [commit_path(entry.shard) for entry in dataset.snapshot.files]
    records.append(snapshot_path(dataset.snapshot.number))
    with new_folder(output) as folder:
        for entry in tqdm(dataset_files, unit=" files", desc="export", disable=None):
            _copy(dataset, entry.path, folder, link=True)
        for path in records:
            _copy(dataset, path, folder)
        for path in _BESIDE:
            if dataset.storage.read(path) is not None:
                _copy(dataset, path, folder)
        if dataset.run:
            # As it was closed: the file itself tells of a run that is under way.
            (folder / RUN).write_bytes(dump(dataset.run))
    return Exported(output, dataset.snapshot.rows, (_BEFORE_PUBLISHING,))


def _copy(dataset: Dataset, path: str, folder: Path, link: bool = False) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        # Not possible from another disk or an object store: there the bytes are copied.
        with contextlib.suppress(OSError):
            os.link(dataset.storage.locate(path), target)
            return
    with dataset.storage.open(path) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream, _CHUNK)
