"""What must be said wherever a data set's images go: what they are, by which system, what for, on what terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from manifests.describing.markdown import quoted
from manifests.format.schema import DIGITAL_SOURCE_TYPE, TRAINED_ALGORITHMIC_MEDIA, Kind
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers, metadata
from manifests.reading.rows import parts
from manifests.reading.runs import SOFTWARE, runs

FOOTERS: dict[Kind, dict[str, str]] = {
    "source": {},
    "annotation": {},
    "synthetic": {"reid_synth.digital_source_type": DIGITAL_SOURCE_TYPE, "reid_synth.generated_by": SOFTWARE},
}
"""What the key/value metadata of every shard says besides its schema."""

STATEMENTS: dict[Kind, str] = {
    "synthetic": (
        f"**Every image here is synthetic**: made by {SOFTWARE} with trained generative models, not recorded by a "
        f"camera (IPTC digital source type `{TRAINED_ALGORITHMIC_MEDIA}`, on every row). People on source images, real "
        "or drawn, lent their appearance, pose or style: `sources` and `subject_keys` say whose."
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


def terms(dataset: Dataset, chosen: RowNumbers | None = None) -> Iterator[str]:
    """A line for each input with its licence and consent, and for what comes of them on synthetic rows (the ``chosen``
    ones, or all).

    What is not known is said to be unknown. Annotations say something of images that stand here themselves.
    """
    if dataset.kind == "source":
        columns = ("dataset_id", "licence", "consent_basis")
        found = metadata(dataset).select(columns).unique().sort(columns).collect().rows()
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
    if dataset.kind == "synthetic":
        yield from _of_rows(dataset, chosen)


def _of_rows(dataset: Dataset, chosen: RowNumbers | None) -> Iterator[str]:
    """The strictest licence and the weakest consent of all that went into a row, the generator's own data included."""
    columns = ["licence", "consent_basis"]
    counted = Counter[tuple[str, str]]()
    for part in parts(dataset, columns, chosen):
        for found in part.drop_null().group_by(columns).aggregate([([], "count_all")]).to_pylist():
            counted[found["licence"], found["consent_basis"]] += found["count_all"]
    for (licence, consent), rows in sorted(counted.items()):
        yield f"- {rows} rows, by their own columns: licence {quoted(licence)}, consent {quoted(consent)}"
