"""Erasure: all that comes from a person or an image goes from the data sets named, and that it went is recorded.

Annotations go first and source rows last: the source rows say which images the person is on, so that a command that
was stopped anywhere finds the rest when it is given again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.describing.attestation import STATEMENT
from manifests.describing.card import DATASET_CARD, SAMPLES_META, card_is_ours
from manifests.describing.croissant import CROISSANT
from manifests.disk.claims import CLAIMS, erasure_interrupted
from manifests.disk.run_record import load_run
from manifests.disk.snapshots import COMMITS, ERASING, RUN, SNAPSHOTS
from manifests.disk.tables import earlier_path
from manifests.erasing.models import Model, models_behind
from manifests.erasing.removal import Removal, check_closed, release, remove, touched
from manifests.erasing.traces import Request, Traces, find_rejects, find_rows, find_traces
from manifests.format.names import spellings
from manifests.format.schema import Kind
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.erasure_log import ERASURES, erasure_key, new_receipt
from manifests.reading.people import class_origins, dataset_ids
from manifests.writing.settling import mend

_ORDER: tuple[Kind, ...] = ("annotation", "synthetic", "source")
_PICTURES: dict[Kind, tuple[str, ...]] = {"source": ("image",), "annotation": ("mask",), "synthetic": ("image", "mask")}
_OUR_FOLDERS = ("data/", "rejects/", f"{COMMITS}/", f"{SNAPSHOTS}/", f"{CLAIMS}/")
_OUR_TABLES = (ERASURES, SAMPLES_META)
_OUR_FILES = (RUN, *_OUR_TABLES, *map(earlier_path, _OUR_TABLES), DATASET_CARD, CROISSANT, STATEMENT)


@dataclass(frozen=True)
class ErasedDataset:
    """What went, or would go, from one data set."""

    uri: str
    kind: Kind
    rows: int
    rejects: int
    shards: int
    """Shards written anew; all others stay byte for byte."""
    bytes: int
    """Of the pictures and masks that go."""
    retired: tuple[int, ...]
    """Class numbers that lose their name."""
    emptied: tuple[str, ...]
    """Others of whom no row is left: they were on the same pictures, so perhaps they are the person by another name."""
    own_card: bool
    """The card was changed by hand, or is of an older version: it is written anew, for it counts what is there."""
    unknown_files: tuple[str, ...]
    """Files in the folder that are not ours to change: they may show whom the rows showed."""


@dataclass(frozen=True)
class ErasureReport:
    """What a command erased, or with ``dry_run`` would have."""

    dry_run: bool
    finished: tuple[str, ...]
    """Data sets in which an earlier command had been stopped; what it left undone is done."""
    datasets: tuple[ErasedDataset, ...]
    models: tuple[Model, ...]
    """The models behind the synthetic rows: what they learned is not erased."""
    also_written: tuple[str, ...]
    """How the data sets write people who were asked for by a number written otherwise: ``0001`` for ``1``."""
    not_found: tuple[str, ...]
    """What was asked for and is on no row; nothing may be left of it, or it is misspelt."""
    receipt: str | None
    """With a name it proves which entry of the log is whose; kept nowhere. None where nothing was erased."""


def erase(uris: Sequence[str], request: Request, *, dry_run: bool = False) -> ErasureReport:
    """Erase ``request`` from the data sets at ``uris``; with ``dry_run`` only say what would go.

    A class map keeps the person's number without the name, so that all other labels stay as they are; their mass on
    it stands for nobody. Nothing is written to a data set that holds nothing of the kind.

    Raises:
        UserError: a data set is not there or has an unfinished run, or a name is that of several people.

    Example:
        >>> from manifests import Request, erase
        >>> request = Request.of(identities=["0002"], images=[])
        >>> report = erase(["runs/market", "runs/synthetic"], request)
        >>> [(one.kind, one.rows) for one in report.datasets]
        [('synthetic', 3), ('source', 3)]
    """
    datasets, finished = _opened(uris, dry_run)
    traces = find_traces(datasets, request)
    removals = {dataset.uri: _removal(dataset, traces, request) for dataset in datasets}
    ids = {one for one, _ in traces.people} or {one for dataset in datasets for one in dataset_ids(dataset)}
    models = tuple(models_behind(datasets, traces.subjects, ids)) if any(removals.values()) else ()
    described = tuple(_described(dataset, removals[dataset.uri], traces) for dataset in datasets)
    retired = {name for removal in removals.values() for name in removal.classes}
    asked = request.identities | request.images
    missing = sorted(name for name in asked - traces.found if retired.isdisjoint(spellings(name)))
    receipt = None if dry_run or not any(removals.values()) else new_receipt()
    keys = [erasure_key(receipt, subject) for subject in asked | traces.written] if receipt else []
    for dataset in () if dry_run else datasets:
        if removals[dataset.uri]:
            remove(dataset, removals[dataset.uri], keys)
        elif dataset.uri in finished:
            release(dataset)
    written = tuple(sorted(traces.written))
    return ErasureReport(dry_run, finished, described, models, written, tuple(missing), receipt)


def _opened(uris: Sequence[str], dry_run: bool) -> tuple[list[Dataset], tuple[str, ...]]:
    """The data sets in the order of their erasure, each once, and those in which what an earlier command left undone
    was finished."""
    datasets = {dataset.uri: dataset for dataset in map(open_dataset, uris)}
    for dataset in datasets.values():
        check_closed(dataset)
    if dry_run:
        halfway = []
    else:
        halfway = [uri for uri, dataset in datasets.items() if _left_halfway(dataset)]
        for uri, dataset in datasets.items():
            datasets[uri] = replace(dataset, snapshot=mend(dataset.storage, dataset.snapshot))
    return sorted(datasets.values(), key=lambda dataset: _ORDER.index(dataset.kind)), tuple(halfway)


def _left_halfway(dataset: Dataset) -> bool:
    """Whether an earlier erasure did not come to its end, before its snapshot or after."""
    state = load_run(dataset.storage)
    erasing = state is not None and state.get("status") == ERASING
    return erasing or erasure_interrupted(dataset.storage, dataset.snapshot, state)


def _removal(dataset: Dataset, traces: Traces, request: Request) -> Removal:
    rows, rejects = find_rows(dataset, traces), find_rejects(dataset, traces)
    names = traces.names(dataset_ids(dataset))
    classes = {
        name
        for name, origins in class_origins(dataset).items()
        if name in names or (not origins and not request.identities.isdisjoint(spellings(name)))
    }
    # A name stays where people of several data sets were labelled as one, and others of them are still there.
    classes -= _people_left(dataset, rows) if classes else set()
    words = {*names, *classes, *traces.keys, *traces.digests, *traces.images, *traces.image_ids}
    return Removal(rows, rejects, frozenset(classes), frozenset(words))


def _people_left(dataset: Dataset, gone: Sequence[NDArray[np.bool_]]) -> set[str]:
    """Who is on the rows that stay."""
    pairs = zip(dataset.shards(["identity"]), gone, strict=True)
    return {name for table, lost in pairs for name in table.filter(pa.array(~lost)).column("identity").to_pylist()}


def _described(dataset: Dataset, removal: Removal, traces: Traces) -> ErasedDataset:
    rows, rejects = removal.counts
    held = shards = 0
    for entry, gone in touched(dataset, removal):
        shards += 1
        held += _picture_bytes(dataset.read_file(entry, _PICTURES[dataset.kind]).filter(pa.array(gone)))
    classes = dataset.classes
    retired = sorted(classes.number(name) for name in removal.classes) if classes is not None else ()
    paths = [entry.path for entry in dataset.storage.list()]
    others = [path for path in paths if path not in _OUR_FILES and not path.startswith(_OUR_FOLDERS)]
    own_card = bool(removal) and not card_is_ours(dataset)
    return ErasedDataset(
        dataset.uri,
        dataset.kind,
        rows,
        rejects,
        shards,
        held,
        tuple(retired),
        _emptied(dataset, removal, traces),
        own_card,
        tuple(others),
    )


def _emptied(dataset: Dataset, removal: Removal, traces: Traces) -> tuple[str, ...]:
    if not any(gone.any() for gone in removal.rows) or dataset.kind == "annotation":
        return ()
    pairs = zip(dataset.shards(["identity"]), removal.rows, strict=True)
    lost = {name for table, gone in pairs for name in table.filter(pa.array(gone)).column("identity").to_pylist()}
    asked = removal.classes | traces.names(dataset_ids(dataset)) | {None}
    return tuple(sorted(lost - asked - _people_left(dataset, removal.rows)))


def _picture_bytes(table: pa.Table) -> int:
    """Total size of the pictures and masks of ``table``."""
    columns = [pc.struct_field(one, "bytes") if pa.types.is_struct(one.type) else one for one in table.columns]
    return sum(pc.sum(pc.binary_length(one)).as_py() or 0 for one in columns)
