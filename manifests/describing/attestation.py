"""``provenance.intoto.json``: which run made exactly these files, and of what, for supply-chain tools.

An in-toto Statement (https://in-toto.io/Statement/v1) whose predicate is SLSA provenance
(https://slsa.dev/provenance/v1). It is **not signed**: it says what the run said of itself, and proves nothing to
somebody who does not trust whoever hands it over. Sign the file (a DSSE envelope around it, by ``cosign`` say) where
that matters.

- ``subject``: every shard, every file of rejects and the table of rows without pictures, by SHA-256.
- ``externalParameters``: ``runs``, job and settings of each run whose rows are in the data set, oldest first, and
  ``erasures``, how many rows were taken out since and when.
- ``resolvedDependencies``: source commit, lock file, checkpoints, inputs. A data set is named by the algorithm
  ``reidSynthDataset``: SHA-256 in lower-case hexadecimal over kind, shard numbers and digests of its files, as
  `Dataset.digest` computes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from manifests.reading.dataset import Dataset
from manifests.reading.files import Product
from manifests.reading.runs import SOFTWARE, Environment, Input, Run, runs

STATEMENT = "provenance.intoto.json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:reid-synth:build:dataset:v1"
BUILDER = f"pkg:generic/{SOFTWARE}"
DATASET_DIGEST = "reidSynthDataset"
_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

Json = dict[str, Any]


def statement(dataset: Dataset, files: Sequence[Product]) -> Json:
    """The statement about ``files`` of ``dataset``; the same snapshot and run record give the same statement."""
    history = runs(dataset)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": file.path, "digest": {"sha256": file.sha256}} for file in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"runs": [_parameters(run) for run in history], **_erasures(dataset)},
                "resolvedDependencies": _dependencies(history),
            },
            "runDetails": _details(dataset, history),
        },
    }


def _parameters(run: Run) -> Json:
    return {"job": run.job, "plan_id": run.plan_id, "settings": run.settings, "settings_sha256": run.settings_sha256}


def _erasures(dataset: Dataset) -> Json:
    """That the files are no longer as the runs wrote them, where rows were taken out since; not whose."""
    taken = [
        {"time": one.time, "snapshot": one.snapshot, "rows": one.rows, "rejects": one.rejects}
        for one in dataset.snapshot.erasures
    ]
    return {"erasures": taken} if taken else {}


def _dependencies(history: Sequence[Run]) -> list[Json]:
    """Each thing that any run was made of, once."""
    found: list[Json] = []
    for run in history:
        found += (one for one in _of_run(run) if one not in found)
    return found


def _of_run(run: Run) -> Iterator[Json]:
    commit, lock = run.environment.git_commit, run.environment.lock_sha256
    if commit:
        dirty = {"dirty": bool(run.environment.git_dirty)}
        yield {"name": SOFTWARE, "digest": {"gitCommit": commit}, "annotations": dirty}
    if lock:
        yield {"name": "requirements.lock", "digest": {"sha256": lock}}
    for model in run.checkpoints:
        yield {
            "name": model.name,
            "digest": {"sha256": model.sha256},
            "annotations": _known({"role": model.role, "recipe": model.recipe, "licence": model.licence}),
        }
    yield from (_input(one) for one in run.inputs if one.digest)


def _input(one: Input) -> Json:
    described: Json = {"name": one.name, "digest": {DATASET_DIGEST: one.digest}}
    if one.uri and _URI.match(one.uri):
        described["uri"] = one.uri  # a path of the machine that the run was on is no URI, and nobody else's business
    terms = _known({"role": one.role, "licence": one.licence, "consent": one.consent})
    return {**described, "annotations": terms}


def _details(dataset: Dataset, history: Sequence[Run]) -> Json:
    """The last run's: what it ran on, and when."""
    last = history[-1] if history else None
    environment = last.environment if last else Environment()
    versions = {**environment.libraries, SOFTWARE: environment.version, "python": environment.python}
    return {
        "builder": {"id": BUILDER, "version": _known(versions)},
        "metadata": _known(
            {
                "invocationId": last.plan_id if last else None,
                "startedOn": last.started if last else None,
                "finishedOn": last.closed if last else dataset.snapshot.created,
            }
        ),
    }


def _known(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value is not None}
