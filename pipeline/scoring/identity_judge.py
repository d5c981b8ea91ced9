"""Whether a generated row shows the person on its label, as a ReID model sees it: scores by `measures.reliability`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from pipeline.measures.reliability import NOBODY, Calibration, auroc, calibrate, nearest_others, weigh
from pipeline.reid.model import ReidModel
from pipeline.scoring.row_facts import CONTENT, person_of
from pipeline.scoring.source_people import SourcePeople, source_people
from pipeline.training.randomness import SetStream, random_generator


@dataclass(frozen=True)
class IdentityJudge:
    """Who can be recognised, how evidence becomes probabilities, and how well that did on people kept apart."""

    people: SourcePeople
    calibration: Calibration
    measured: Mapping[str, Any]

    @classmethod
    def of(
        cls, dataset: Dataset, sources: Sequence[Dataset], model: ReidModel, wrong_share: float, seed: int
    ) -> IdentityJudge | None:
        """A judge of the people on the rows of ``dataset``; None where no row shows anybody.

        Raises:
            UserError: as `source_people`, or the sources show too few people to calibrate by.
        """
        shown = dataset.scan().drop_nulls("identity").select(CONTENT).drop_nulls()
        digests = set(shown.collect().get_column("content").to_list())
        if not digests:
            return None
        people, strangers = source_people(sources, digests, model)
        try:
            calibration, measured = calibrate(strangers.gallery, wrong_share, seed)
        except ValueError as error:
            raise UserError(f"the sources of {dataset.uri} do not do: {error}") from None
        measured = {**measured, "people": len(strangers.numbers), "splits": list(strangers.splits)}
        return cls(people, calibration, measured)

    def scores(self, features: NDArray[np.float32], rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """By name of the score, (N,), nan for ``rows`` (`row_facts`) that show nobody whom the sources show;
        ``features`` (N, D) are those of their images."""
        gallery, (known, labels, left_out) = self.people.gallery, self._known(rows)
        similarities = gallery.similarities(features[known], left_out)
        evidence = weigh(similarities, labels, self.calibration.temperature)
        found = {
            "identity_similarity": (features[known] * gallery.features[left_out]).sum(axis=1),
            "identity_rank": evidence.rank,
            "identity_margin": evidence.margin,
            "identity_entropy": evidence.entropy,
            "reliability": evidence.reliability,
            "plausibility": self.calibration.plausibility(evidence),
        }
        columns = {name: np.full(len(rows), np.nan, np.float32) for name in found}
        for name, values in found.items():
            columns[name][known] = values
        return columns

    def planted_aurocs(
        self, features: NDArray[np.float32], rows: Sequence[Mapping[str, Any]], seed: int
    ) -> dict[str, float]:
        """How surely the own label of ``rows`` is told from another, the chance that it scores higher, 1 at best: by
        ``reliability`` from that of the nearest other, by ``plausibility`` from one at random; nan where nobody is
        known. Arguments as of `scores`.

        A generator that loses people keeps both below 1: its own labels are as good as others'.
        """
        gallery, (known, labels, left_out) = self.people.gallery, self._known(rows)
        count, people = len(known), len(gallery.sums)
        moved = random_generator(seed, SetStream.PLANTED_NAMES).integers(1, people, size=count)
        similarities = gallery.similarities(features[known], left_out)
        own, nearest, random = (
            weigh(similarities, names, self.calibration.temperature)
            for names in (labels, nearest_others(similarities, labels), (labels + moved) % people)
        )
        right, plausibility = np.repeat([True, False], count), self.calibration.plausibility
        return {
            "reliability": auroc(np.concatenate([own.reliability, nearest.reliability]), right),
            "plausibility": auroc(np.concatenate([plausibility(own), plausibility(random)]), right),
        }

    def _known(self, rows: Sequence[Mapping[str, Any]]) -> _Known:
        """Those of ``rows`` that show somebody whom the sources show."""
        numbers = np.array([self.people.numbers.get(person_of(row), NOBODY) for row in rows], np.int64)
        sources = np.array([self.people.rows.get(row["content"], NOBODY) for row in rows], np.int64)
        known = np.flatnonzero((numbers != NOBODY) & (sources != NOBODY))
        return _Known(known, numbers[known], sources[known])


class _Known(NamedTuple):
    """Places of rows, the gallery's numbers of their people, and the gallery's rows that they were made from."""

    places: NDArray[np.int64]
    people: NDArray[np.int64]
    sources: NDArray[np.int64]
