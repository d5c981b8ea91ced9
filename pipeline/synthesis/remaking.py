"""Rows made again from what they say of themselves and what their run recorded; no plan is needed.

A row names its images, generator, target, seed and draw; its run's record has the settings and says where the inputs
lay. From them the row's line of the plan is written once more and goes through the worker that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from manifests.errors import UserError
from manifests.format.soft_labels import NO_LABEL, ClassMap
from manifests.reading.dataset import Dataset
from manifests.reading.rows import fetch_rows, find_rows
from manifests.reading.runs import runs
from pipeline.common.environment import environment
from pipeline.common.images import RgbImage
from pipeline.common.row_images import PICTURE, decode_row, image_of
from pipeline.measures.images import peak_signal_to_noise
from pipeline.synthesis.plan import PLAN_SCHEMA, RECIPE_VERSION, PlanHead
from pipeline.synthesis.plan_kinds import moves_people, pastes
from pipeline.synthesis.recorded_inputs import Elsewhere, Place, RecordedInputs
from pipeline.synthesis.worker import SynthesisInputs, SynthesisWorker

AT_A_TIME = 256
"""Rows whose images are in memory together."""
_PROVENANCE = ("sample_id", "identity", "camera", "split", "sources", "recipe_version", "seed", "draw", "target")
_RESULT = ("sample_id", *PICTURE, "pixel_sha256")
Outcome = Literal["identical", "other bytes", "other pixels", "not made"]


@dataclass(frozen=True)
class Remade:
    """A row's second image against its first."""

    sample_id: str
    outcome: Outcome
    same_environment: bool
    """Whether the fingerprint here is that of the run: only then is ``identical`` promised."""
    libraries: tuple[str, ...] = ()
    """Those of other versions here than in the run, with both versions."""
    image: Mapping[str, Any] | None = None
    """``bytes`` and ``path`` of the second image."""
    psnr: float | None = None
    """Of the decoded pixels, in dB, where these differ."""
    reason: str | None = None
    """Why it could not be made."""

    def as_promised(self, least_psnr: float) -> bool:
        """Whether the bytes are the same, or in another environment the pixels as near as ``least_psnr`` dB."""
        if self.outcome == "not made" or (self.same_environment and self.outcome != "identical"):
            return False
        return self.psnr is None or self.psnr >= least_psnr


def remake(dataset: Dataset, names: Sequence[str], elsewhere: Elsewhere | None = None) -> Iterator[Remade]:
    """Make once more the rows that ``names`` name (ids, or unique beginnings of them), generator by generator.

    Raises:
        UserError: no such row, rows of another kind or of another version of the recipes' code, an input that is not
            there or is not the one that was used.
    """
    if dataset.kind != "synthetic":
        raise UserError(f"{dataset.uri} holds {dataset.kind} rows: only synthetic ones are made, and made again")
    rows = find_rows(dataset, names, ["plan_id", "checkpoint_sha256s"])
    known = {run.plan_id: run for run in runs(dataset)}
    for plan_id, generator_sha256, places in _groups(rows):
        if plan_id not in known:
            raise UserError(f"the run record of {dataset.uri} knows no run of plan {plan_id}: its settings are lost")
        provenance = fetch_rows(dataset, places, _PROVENANCE).to_pylist()
        maker = _Maker(RecordedInputs(known[plan_id], elsewhere or Elsewhere()), generator_sha256, provenance)
        for start in range(0, places.num_rows, AT_A_TIME):
            firsts = fetch_rows(dataset, places.slice(start, AT_A_TIME), _RESULT).to_pylist()
            # A changed byte would pass for another environment.
            pixels = [image_of(row, dataset.uri) for row in firsts]
            yield from maker.compare(start, firsts, pixels)


def _groups(rows: pa.Table) -> Iterator[tuple[str, str, pa.Table]]:
    """The rows of one run and one generator at a time, with the two that they share."""
    made_by = [digests[0] for digests in rows.column("checkpoint_sha256s").to_pylist()]
    pairs = list(zip(rows.column("plan_id").to_pylist(), made_by, strict=True))
    for plan_id, generator in dict.fromkeys(pairs):
        yield plan_id, generator, rows.filter(pa.array([pair == (plan_id, generator) for pair in pairs]))


class _Maker:
    """Makes rows of one run and one generator again."""

    def __init__(self, inputs: RecordedInputs, generator_sha256: str, rows: list[dict[str, Any]]) -> None:
        """Find what ``rows`` were made from and write their lines of the plan."""
        _check_versions(rows)
        generators, member = inputs.generators(generator_sha256)
        content = {digest for row in rows if (digest := _digest(row, "content"))}
        poses = {digest for row in rows if (digest := _digest(row, "pose"))}
        nothing: tuple[None, dict[str, Place]] = None, {}
        source, places = inputs.holding("source", content) if content else nothing
        settings = inputs.settings(generators)
        own = pastes(settings, generators) or moves_people(settings, generators)
        annotated = poses | (content if own else set())
        annotations, _ = inputs.holding("annotations", annotated) if annotated else nothing
        self.lines = pa.Table.from_pylist([_plan_line(row, member, places) for row in rows], schema=PLAN_SCHEMA)
        synthesis = SynthesisInputs(
            source_uri=source.uri if source else "",
            annotations_uri=annotations.uri if annotations else None,
            generators=generators,
            domain="",
            device=inputs.device,
            threads=inputs.threads,
        )
        # Neither labels nor the plan's id are compared: somebody stands for the classes.
        plan = PlanHead(inputs.run.plan_id, "", ClassMap(("somebody",)))
        self.kept = _Kept()
        self.worker = SynthesisWorker(synthesis, plan, settings, self.kept)
        here, ran_on = environment(inputs.device, inputs.threads), inputs.run.environment
        self.same_environment = here["fingerprint"] == ran_on.fingerprint
        self.libraries = tuple(
            f"{name} {ran_on.libraries[name]} -> {version}"
            for name, version in here["libraries"].items()
            if name in ran_on.libraries and ran_on.libraries[name] != version
        )

    def compare(self, start: int, firsts: list[dict[str, Any]], pixels: list[RgbImage]) -> Iterator[Remade]:
        """The planned rows from ``start`` on, made now, against ``firsts`` with those ``pixels``."""
        for _ in self.worker.run(0, self.lines.slice(start, len(firsts))):
            pass
        for first, image in zip(firsts, pixels, strict=True):
            name = first["sample_id"]
            if name in self.kept.rows:
                yield self._compared(first, image, self.kept.rows[name])
            else:
                reason = self.kept.reasons[name]
                yield Remade(name, "not made", self.same_environment, self.libraries, reason=reason)

    def _compared(self, first: dict[str, Any], image: RgbImage, second: dict[str, Any]) -> Remade:
        outcome: Outcome = "identical"
        if first["pixel_sha256"] != second["pixel_sha256"]:
            outcome = "other pixels"
        elif first["image_sha256"] != second["image_sha256"]:
            outcome = "other bytes"
        psnr = None
        if outcome != "identical":
            psnr = peak_signal_to_noise(image, decode_row(second))
        return Remade(first["sample_id"], outcome, self.same_environment, self.libraries, second["image"], psnr)


class _Kept:
    """A sink that keeps the last shard."""

    def commit(self, shard: int, rows: pa.Table, rejects: pa.Table, stats: Mapping[str, float], /) -> None:
        self.rows = {row["sample_id"]: row for row in rows.select(list(_RESULT)).to_pylist()}
        self.reasons = {row["item_id"]: f"{row['reason']}: {row['message']}" for row in rejects.to_pylist()}


def _check_versions(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["recipe_version"] != RECIPE_VERSION:
            made = f"row {row['sample_id']} was made by version {row['recipe_version']} of the recipes' code"
            raise UserError(f"{made}, this is {RECIPE_VERSION}: install the release that made it")


def _digest(row: Mapping[str, Any], role: str) -> str | None:
    """Of the image that went into ``row`` in that role."""
    return next((str(source["sha256"]) for source in row["sources"] if source["role"] == role), None)


def _plan_line(row: Mapping[str, Any], member: str, places: Mapping[str, Place]) -> dict[str, Any]:
    """``row`` as its plan had it (`pipeline.synthesis.plan.PLAN_SCHEMA`), as far as its image depends on that."""
    content, pose = _digest(row, "content"), _digest(row, "pose")
    asked = row["target"] or {}
    number = (asked.get("pose") or "").removeprefix("class ")
    kept = {name: row[name] for name in ("sample_id", "identity", "split", "camera", "draw", "seed")}
    place = places[content]._asdict() if content else {}
    return {
        **kept,
        **place,
        "image_sha256": content,
        "hard_label": NO_LABEL,
        "target_camera": asked.get("camera"),
        "pose_class": int(number) if number.isdecimal() else None,
        "pose_sha256": pose,
        "pose_dataset_id": next((one["dataset_id"] for one in row["sources"] if one["role"] == "pose"), None),
        "pose_identity": row["identity"] or "",  # whose it is, no pixel depends on
        "generator": member,
    }
