"""What a run is made with, told for its record and found again: settings, generators, source and annotations.

Models and images are known by their digests, so it does not matter where they lie or what else lies with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import ValidationError

from manifests.errors import UserError
from manifests.format.schema import Kind
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.inputs import open_input
from manifests.reading.rows import index_rows
from manifests.reading.runs import Run
from pipeline.generators.trained_set import GeneratorSet, open_generators
from pipeline.synthesis.plan import SynthesisSettings
from pipeline.synthesis.plan_kinds import KINDS

Opened = TypeVar("Opened")
_KINDS: Mapping[str, Kind] = {"source": "source", "annotations": "annotation"}


@dataclass(frozen=True)
class Elsewhere:
    """Where inputs lie now, if not where the run had them, and what to run on; empty: all as it was."""

    source: Sequence[str] = ()
    annotations: Sequence[str] = ()
    generator: Sequence[str] = ()
    device: str | None = None


def described(role: str, dataset: Dataset) -> list[dict[str, Any]]:
    """What the record of a run says of an input in that ``role``: id and terms of each data set that it was made of,
    with the input's own digest and rows."""
    terms = dataset.scan().select("dataset_id", "licence", "consent_basis").unique(maintain_order=True).collect()
    shared = {"role": role, "uri": dataset.uri, "digest": dataset.digest(), "rows": dataset.snapshot.rows}
    return [
        {"id": row["dataset_id"], "licence": row["licence"], "consent": row["consent_basis"], **shared}
        for row in terms.to_dicts()
    ]


class Place(NamedTuple):
    """A row of a source manifest."""

    image_id: str
    file: int
    row: int


@dataclass(frozen=True)
class RecordedInputs:
    """The inputs of ``run``, looked for ``elsewhere`` where that says something."""

    run: Run
    elsewhere: Elsewhere

    @cached_property
    def device(self) -> str:
        """What the run ran on, if it is here."""
        ran_on_cpu = self.run.environment.device in (None, "cpu")
        return self.elsewhere.device or ("cpu" if ran_on_cpu or not torch.cuda.is_available() else "cuda")

    @property
    def threads(self) -> int:
        """Of the run's workers."""
        return int(self.run.environment.threads or 1)

    def settings(self, generators: GeneratorSet) -> SynthesisSettings:
        """The run's settings, but for labels: no image depends on them, and no teacher has to be there.

        Raises:
            UserError: the record has none, or they are of another version.
        """
        if not self.run.settings:
            raise UserError(f"the run record of plan {self.run.plan_id} has no settings: its rows cannot be made again")
        # A recipe of several kinds: the one with the fewest settings that has all of the run's.
        kinds = [kind for kind in KINDS if generators.recipe.name in kind.recipes]
        fitting = [kind for kind in kinds if self.run.settings.keys() <= kind.settings.model_fields.keys()]
        kind = min(fitting or kinds, key=lambda kind: len(kind.settings.model_fields))
        try:
            unasked: dict[str, object] = {"label_rule": "lsro", "teacher": None, "reject_below": []}
            return kind.settings.model_validate({**self.run.settings, **unasked})
        except ValidationError as error:
            first = error.errors()[0]
            fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise UserError(f"the settings in the run record of plan {self.run.plan_id} do not fit: {fault}") from None

    def generators(self, sha256: str) -> tuple[GeneratorSet, str]:
        """The generators with the one of digest ``sha256`` among them, and its name there.

        Raises:
            UserError: it is not where it was, or another lies there now.
        """
        recorded = [one.set_uri or one.name for one in self.run.checkpoints if one.sha256 == sha256]
        for uri in self._uris("generator", recorded):
            found = _opened(open_generators, uri, "generator")
            for member, one in found.members.items():
                if one.sha256 == sha256:
                    return found, member
        raise UserError(f"{uri} is not the generator that made these rows (SHA-256 {sha256[:12]}): see --generator")

    def holding(
        self, role: Literal["source", "annotations"], digests: Collection[str]
    ) -> tuple[Dataset, Mapping[str, Place]]:
        """The input of that role which has all images of ``digests``, and their places there by digest.

        Raises:
            UserError: it is not where it was, is of another kind, or lacks one of them.
        """
        for uri in self._uris(role, [one.uri for one in self.run.inputs if one.role == role and one.uri]):
            _opened(open_dataset, uri, role)
            dataset = open_input(uri, _KINDS[role], flag=f"--{role}")
            places = _places(dataset, digests)
            if len(places) == len(digests):
                return dataset, places
        missing = sorted(set(digests) - places.keys())
        raise UserError(f"{uri} lacks {len(missing)} images that rows were made from ({missing[0][:12]}): see --{role}")

    def _uris(self, flag: Literal["source", "annotations", "generator"], recorded: Iterable[str]) -> list[str]:
        uris = list(getattr(self.elsewhere, flag)) or list(dict.fromkeys(recorded))
        if not uris:
            raise UserError(f"the run record of plan {self.run.plan_id} names no {flag}: say --{flag}")
        return uris


def _opened(open_it: Callable[[str], Opened], uri: str, flag: str) -> Opened:
    try:
        return open_it(uri)
    except UserError as error:
        raise UserError(f"{error}; if it lies elsewhere, say --{flag}") from None


def _places(dataset: Dataset, digests: Collection[str]) -> dict[str, Place]:
    """Where the images of ``digests`` lie; of equal ones the last."""
    index = index_rows(dataset, ["image_sha256", "image_id"])
    wanted = pa.array(sorted(digests), pa.string())
    rows = index.filter(pc.is_in(index["image_sha256"], wanted)).to_pylist() if index.num_rows else []
    return {row.pop("image_sha256"): Place(**row) for row in rows}
