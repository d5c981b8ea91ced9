"""What must be said wherever a data set's images go: what they are, by which system, what for, on what terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from manifests.describing.markdown import quoted
from manifests.format.schema import SOURCE_TYPE_KEY, TRAINED_ALGORITHMIC_MEDIA, Kind, source_type_uri
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers
from manifests.reading.rows import parts
from manifests.reading.runs import SOFTWARE, runs

FOOTERS: dict[Kind, dict[str, str]] = {
    "source": {},
    "annotation": {},
    "synthetic": {SOURCE_TYPE_KEY: source_type_uri(TRAINED_ALGORITHMIC_MEDIA), "reid_synth.generated_by": SOFTWARE},
}
"""What the key/value metadata of every shard says besides its schema, where who writes it says nothing else."""

STATEMENTS: dict[Kind, str] = {
    "synthetic": (
        f"**Every image here is synthetic**: made by {SOFTWARE}, not recorded so by a camera. Every row says how by "
        f"its IPTC digital source type; `{TRAINED_ALGORITHMIC_MEDIA}` is the work of a trained generative model. "
        "People on source images, real or drawn, lent their appearance, pose or style: `sources` and `subject_keys` "
        "say whose."
    ),
    "source": "Images of people as they were brought, with what is known of their licence and consent on every row.",
    "annotation": "Masks and keypoints of images of another data set, joined by `image_sha256`; no image is held here.",
}
INTENDED_USE = (
    "For training and studying person re-identification: models that match people across cameras, the effect of "
    "generated images on them, and methods against their faults. Not for identifying or tracking anyone without a "
    "lawful basis, and not as evidence of what a person looks like or where they were. A synthetic picture of a person "
    "is still about that person."
)


class TermsOnRows:
    """How many rows say which terms, counted some at a time; nothing is said by rows of annotations."""

    def __init__(self, kind: Kind) -> None:
        self.columns = _TERMS[kind]
        self.rows = Counter[tuple[str | None, ...]]()
        """By the values of `columns`."""

    @classmethod
    def of(cls, dataset: Dataset, chosen: RowNumbers | None = None) -> TermsOnRows:
        """Those of the rows, or of the ``chosen`` ones."""
        found = cls(dataset.kind)
        for part in parts(dataset, found.columns, chosen) if found.columns else ():
            found.add(part)
        return found

    def add(self, part: pa.Table) -> None:
        """Count these rows too; they may have other columns."""
        if self.columns:
            for row in part.group_by(list(self.columns)).aggregate([([], "count_all")]).to_pylist():
                self.rows[tuple(row[name] for name in self.columns)] += row["count_all"]

    @property
    def licences(self) -> set[str | None]:
        """Every licence that a row names, None where one names none."""
        place = self.columns.index("licence") if self.columns else 0
        return {row[place] for row in self.rows}


_TERMS: dict[Kind, tuple[str, ...]] = {
    "source": ("dataset_id", "licence", "consent_basis"),
    "annotation": (),
    "synthetic": ("licence", "consent_basis"),
}


def terms(dataset: Dataset, chosen: RowNumbers | None = None, on_rows: TermsOnRows | None = None) -> Iterator[str]:
    """A line for each input with its licence and consent, and for what comes of them on synthetic rows (the ``chosen``
    ones, or all), which may have been counted already: ``on_rows``.

    What is not known is said to be unknown. Annotations say something of images that stand here themselves.
    """
    synthetic = dataset.kind == "synthetic"
    on_rows = on_rows or TermsOnRows.of(dataset, chosen if synthetic else None)
    if dataset.kind == "source":
        found = sorted(on_rows.rows, key=lambda row: [(value is not None, value) for value in row])
    else:
        given = [
            (one.name, one.licence, one.consent)
            for run in runs(dataset)
            for one in run.inputs
            if one.role != "annotations"
        ]
        found = list(dict.fromkeys(given))
    for name, licence, consent in found:
        name, licence, consent = (quoted(one or "unknown") for one in (name, licence, consent))
        yield f"- {name}: licence {licence}, consent {consent}"
    if not found:
        yield "- What it was made from was not recorded."
    if synthetic:
        # The strictest licence and the weakest consent of all that went in, the generator's own data included.
        for row in sorted(row for row in on_rows.rows if None not in row):
            licence, consent = (quoted(one or "") for one in row)
            yield f"- {on_rows.rows[row]} rows, by their own columns: licence {licence}, consent {consent}"
