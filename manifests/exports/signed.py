"""A folder that is signed when it is full, where somebody signs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from manifests.describing.croissant import dataset_urn
from manifests.errors import UserError
from manifests.exports.folder import new_folder
from manifests.format.schema import source_type_of_all
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers, metadata
from manifests.signing.claims import Signer, facts_of, sign_folder


@contextlib.contextmanager
def signed_folder(
    output: str, dataset: Dataset, signer: Signer | None, rows: RowNumbers | None = None
) -> Iterator[Path]:
    """`new_folder`, with a signed list of its files where there is a ``signer``; the claim is about ``rows``, or all.

    Raises:
        UserError: `new_folder`'s reasons, or there is a signer and the images are not generated ones.
    """
    if signer is not None and dataset.kind != "synthetic":
        raise UserError(f"{dataset.uri} is a {dataset.kind} data set: what is signed says that it was generated")
    with new_folder(output) as folder:
        yield folder
        if signer is not None:
            made = metadata(dataset).select("recipe", "plan_id", "digital_source_type").collect()
            made = made if rows is None else made[rows]
            recipes, plans, types = (made[name].unique().sort().to_list() for name in made.columns)
            together = source_type_of_all(types)
            sign_folder(signer, folder, together, facts_of(dataset_urn(dataset.digest()), recipes, plans, together))
