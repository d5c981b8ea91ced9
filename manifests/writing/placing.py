"""Where a run begins: its plan gets the next snapshot and the shard numbers after those of the last, or is refused."""

from __future__ import annotations

from dataclasses import replace

from manifests.describing.attestation import STATEMENT
from manifests.describing.card import DATASET_CARD, SAMPLES_META, is_sealed
from manifests.describing.croissant import CROISSANT
from manifests.disk.claims import CLAIMS, Claim, next_number, unfinished_plan
from manifests.disk.commits import COMMIT_NAME
from manifests.disk.run_record import RunPlan, appended, check_columns, check_same, load_run
from manifests.disk.snapshots import RUN, CommitRecord, Snapshot
from manifests.errors import UserError
from manifests.storage.whole_files import TEMPORARY, Storage
from manifests.writing.settling import mend


def place(storage: Storage, plan: RunPlan, snapshot: Snapshot | None, append: bool) -> RunPlan | None:
    """``plan`` with its shards numbered after those of ``snapshot``, the newest, and the next snapshot claimed for it.

    None where others went on meanwhile: look at the newest snapshot again.

    Raises:
        UserError: another plan's run is there, or files that are no data set, or nothing can be written.
    """
    state = load_run(storage)
    present = RunPlan.parse(state, storage.locate(RUN)) if state is not None else None
    unfinished = unfinished_plan(storage, snapshot, state)
    if unfinished not in (None, plan.plan_id):
        _refuse_unfinished(storage, plan, snapshot, unfinished)
        return None
    if unfinished is None and snapshot is None:
        _refuse_foreign(storage, plan.plan_id)
    if unfinished is None and snapshot is not None:
        if not append:
            raise UserError(
                f"{storage.uri} holds a finished data set of another plan ({_plans(snapshot.plan_ids[-1], plan)}): "
                "choose another folder (from Python, append=True adds to it)"
            )
        mend(storage, snapshot)
    if state is not None and present is not None and present.plan_id == plan.plan_id:
        check_same(present, plan, storage.uri)
        finish = "finish it with that release, or choose another folder"
        check_columns(plan.kind, state.get("schema_version", ""), f"the run at {storage.uri} was begun", finish)
        plan = replace(plan, footer=present.footer)  # an older version that began it may say less in its shards
    placed = appended(plan, snapshot, storage.uri) if snapshot is not None else plan
    claim = Claim(next_number(snapshot), plan.plan_id, placed.first_shard, placed.shard_rows).take(storage)
    if claim.plan_id != plan.plan_id:
        return None
    check_same(replace(placed, shard_rows=dict(claim.shard_rows)), placed, storage.uri)
    return placed


def _refuse_unfinished(storage: Storage, plan: RunPlan, snapshot: Snapshot | None, theirs: str) -> None:
    """Unless it was closed while we looked."""
    if Snapshot.numbers(storage)[-1:] == ([snapshot.number] if snapshot is not None else []):
        raise UserError(
            f"{storage.uri} holds an unfinished run of another plan ({_plans(theirs, plan)}): "
            "finish it with the settings it began with, or choose another folder"
        )


def _plans(theirs: str, plan: RunPlan) -> str:
    return f"{theirs[:12]}, not {plan.plan_id[:12]}"


def _refuse_foreign(storage: Storage, plan_id: str) -> None:
    """A folder with other files in it is not ours to write to.

    What is left of this plan's run is no obstacle: a folder that vanishes is begun anew by whoever writes last. Nor is
    a rival who began a moment ago.
    """
    paths = [entry.path for entry in storage.list()]
    if any(path == RUN or path.startswith(f"{CLAIMS}/") for path in paths):
        return
    ours = {SAMPLES_META, CROISSANT, STATEMENT}
    for path in filter(COMMIT_NAME.fullmatch, paths):
        record = CommitRecord.load(storage, path)
        if record is not None and record.plan_id == plan_id:
            ours |= {path, *(entry.path for entry in record.files)}
    if DATASET_CARD in paths and is_sealed(storage.read(DATASET_CARD) or b""):
        ours.add(DATASET_CARD)
    for path in paths:
        if path not in ours and not TEMPORARY.fullmatch(path.rpartition("/")[2]):
            raise UserError(f"{storage.uri} holds files that are no data set ({path}): choose an empty folder")
