"""Every data set, shard footer and card says that the images are synthetic, by which system, on what terms."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from huggingface_hub import DatasetCard

from manifests.checking.validate import validate
from manifests.describing.statements import terms
from manifests.disk.snapshots import RUN, dump, load
from manifests.reading.dataset import open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, source_rows, synthetic_rows

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
KEYS = ("reid_synth.digital_source_type", "reid_synth.generated_by")


def footer(path: str) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (pq.read_schema(path).metadata or {}).items()}


def source_dataset(uri: str) -> Dataset:
    run = DatasetRun.start(uri, "source", PLAN_ID, {0: 4})
    run.sink.commit(0, source_rows(4))
    run.close()
    return open_dataset(uri)


def test_every_shard_says_that_it_is_synthetic_and_by_which_system(dataset: Dataset) -> None:
    for path in [*dataset.files(), str(Path(dataset.uri, "samples_meta.table"))]:
        assert [footer(path)[key] for key in KEYS] == [SOURCE_TYPE, "reid-synth"]


def test_images_of_cameras_are_not_called_synthetic(uri: str) -> None:
    dataset = source_dataset(uri)
    assert not set(KEYS) & footer(dataset.files()[0]).keys()
    assert "synthetic" not in Path(uri, "README.md").read_text().split("## Intended use")[0]


def test_an_unfinished_run_of_an_older_version_is_taken_up_again(uri: str) -> None:
    """And rows that are appended later say what its shards say."""
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 2}, footer=FOOTER)
    storage = open_storage(run.uri)
    storage.write(RUN, dump({**(load(storage, RUN) or {}), "footer": FOOTER}))
    again = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 2}, footer=FOOTER)
    again.sink.commit(0, synthetic_rows(0, 2))
    again.close()
    assert not set(KEYS) & open_dataset(uri).footer.keys()
    later = DatasetRun.start(uri, "synthetic", sha("later"), {0: 2}, footer=FOOTER, append=True)
    later.sink.commit(0, synthetic_rows(5, 2, sha("later")))
    later.close()
    assert not set(KEYS) & open_dataset(uri).footer.keys()
    assert validate(uri).faults == []


def test_the_card_is_one_that_the_hub_reads(dataset: Dataset) -> None:
    card = DatasetCard(Path(dataset.uri, "README.md").read_text())
    assert card.data.license == "other"
    assert card.data.size_categories == ["n<1K"]
    assert "synthetic" in card.data.tags
    assert card.data.configs == [{"config_name": "default", "data_files": "data/*.parquet"}]
    for said in (
        "Every image here is synthetic",
        "made by reid-synth",
        "trainedAlgorithmicMedia",
        "Not for identifying",
    ):
        assert said in card.text


ON_ROWS = "- {} rows, by their own columns: licence Apache-2.0, consent drawn by a program; shows nobody"


def test_terms_of_the_inputs_are_passed_on(uri: str) -> None:
    inputs = [{"id": "market", "licence": "CC-BY-NC-4.0", "consent": None}, {"id": "toy", "licence": None}]
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 2}, footer=FOOTER, run={"inputs": [*inputs, inputs[0]]})
    run.sink.commit(0, synthetic_rows(0, 2))
    run.close()
    expected = ["- market: licence CC-BY-NC-4.0, consent unknown", "- toy: licence unknown, consent unknown"]
    expected += [ON_ROWS.format(2)]
    assert list(terms(open_dataset(uri))) == expected
    assert "\n".join(expected) in Path(uri, "README.md").read_text()


def test_terms_of_brought_images_are_those_of_their_rows(uri: str) -> None:
    assert list(terms(source_dataset(uri))) == ["- toyworld: licence Apache-2.0, consent unknown"]


def test_what_was_not_recorded_is_said_to_be_unknown(dataset: Dataset) -> None:
    assert list(terms(dataset)) == ["- What it was made from was not recorded.", ON_ROWS.format(12)]
