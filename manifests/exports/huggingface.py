"""A folder ready for the Hugging Face Hub: a copy of the data set's newest state, with its card.

`datasets.load_dataset(FOLDER)` shows the images; ``hf upload NAME FOLDER --repo-type dataset`` publishes them.
The copy is still a data set of ours, so that `validate` and `trace` work on what somebody downloaded.
"""

from __future__ import annotations

import os
from pathlib import Path

from tqdm import tqdm

from manifests.checking.faults import Report
from manifests.checking.metadata import check_metadata
from manifests.describing.attestation import STATEMENT
from manifests.describing.card import DATASET_CARD, SAMPLES_META
from manifests.describing.croissant import CROISSANT
from manifests.disk.run_record import load_run
from manifests.disk.snapshots import MEND, RUN, SNAPSHOTS, CommitRecord, FileEntry, commit_path, dump, snapshot_path
from manifests.disk.tables import earlier_path
from manifests.errors import UserError
from manifests.exports.folder import Exported
from manifests.exports.signed import signed_folder
from manifests.reading.dataset import Dataset
from manifests.reading.erasure_log import ERASURES, read_log
from manifests.signing.claims import Signer

_BEFORE_PUBLISHING = (
    f"{RUN} and the snapshot in {SNAPSHOTS} hold the settings of its runs with their paths: "
    "read them, and the card, before you publish"
)
_TABLES = (SAMPLES_META, ERASURES)
_BESIDE = (DATASET_CARD, CROISSANT, STATEMENT, *_TABLES, *map(earlier_path, _TABLES))


def export_huggingface(dataset: Dataset, output: str, signer: Signer | None = None) -> Exported:
    """Copy the files of the newest snapshot to ``output``; on one disk shards are linked and take no space.

    A shard is never changed in place, so neither side can change the other's.

    Raises:
        UserError: `signed_folder`'s reasons, or a file is missing, or not what the data set says of it.

    Example:
        >>> from manifests import export_huggingface, open_dataset
        >>> done = export_huggingface(open_dataset("runs/synthetic"), "huggingface")
        >>> open_dataset("huggingface").snapshot.rows
        6
    """
    _check_beside(dataset)
    with signed_folder(output, dataset, signer) as folder:
        for entry in tqdm(
            (*dataset.snapshot.files, *dataset.snapshot.rejects), unit=" files", desc="export", disable=None
        ):
            _copy_shard(dataset, entry, folder)
        for path in (*map(commit_path, _shards(dataset)), snapshot_path(dataset.snapshot.number), *_BESIDE):
            data = dataset.storage.read(path)
            if data is not None:
                _place(folder, path).write_bytes(data)
        if dataset.run:
            # As it was closed: the file itself tells of a run that is under way.
            (folder / RUN).write_bytes(dump(dataset.run))
    return Exported(output, dataset.snapshot.rows, (_BEFORE_PUBLISHING,))


def _shards(dataset: Dataset) -> list[int]:
    return [entry.shard for entry in dataset.snapshot.files]


def _check_beside(dataset: Dataset) -> None:
    """Refuse to hand on records that cannot be read, and metadata that is of other files than these."""
    for shard in _shards(dataset):
        if CommitRecord.load(dataset.storage, commit_path(shard)) is None:
            raise UserError(f"{dataset.storage.locate(commit_path(shard))} is missing; {MEND}")
    load_run(dataset.storage)
    read_log(dataset.storage)
    found = Report(dataset.uri)
    check_metadata(dataset, found)
    if found.faults:
        raise UserError(f"{dataset.uri} is not fit to be handed on: {found.faults[0]}; `describe` writes it again")


def _copy_shard(dataset: Dataset, entry: FileEntry, folder: Path) -> None:
    target = _place(folder, entry.path)
    with dataset.open(entry) as shard:
        try:
            os.link(dataset.storage.locate(entry.path), target)
        except OSError:  # from another disk or an object store
            with target.open("wb") as stream:
                for piece in shard.pieces():
                    stream.write(piece)
        else:
            shard.check_bytes()


def _place(folder: Path, path: str) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
