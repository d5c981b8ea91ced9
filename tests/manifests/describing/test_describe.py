"""`describe` writes the files beside the rows anew, and nothing that somebody wrote by hand is lost."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.describing.card import DATASET_CARD, card_is_ours, write_inspection_files
from manifests.disk.shard_reading import Shard
from manifests.disk.snapshots import FileEntry
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, sha, synthetic_rows
from tests.manifests.write_version_fixture import FIXTURES


@pytest.fixture
def card(dataset: Dataset) -> Path:
    return Path(dataset.uri, DATASET_CARD)


def test_a_card_of_ours_is_written_anew(dataset: Dataset, card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = card.read_bytes()
    Path(dataset.uri, "croissant.json").unlink()
    assert main(["describe", dataset.uri]) == 0
    assert [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()] == [
        *(DATASET_CARD, "samples_meta.table", "croissant.json", "provenance.intoto.json")
    ]
    assert card.read_bytes() == before
    card.unlink()
    assert main(["describe", dataset.uri]) == 0
    assert card.read_bytes() == before


@pytest.mark.parametrize("place", [0, 400, -1])
def test_a_card_that_was_changed_by_hand_stays(
    place: int, dataset: Dataset, card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = card.read_text()
    by_hand = f"{ours[:place]}Ask Ada before you use it.{ours[place:]}"
    card.write_text(by_hand)
    Path(dataset.uri, "croissant.json").unlink()
    assert main(["describe", dataset.uri]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"note: {card} was changed by hand or is of an older version and stays: --force writes it anew"
    assert card.read_text() == by_hand
    assert str(card) not in said[:-1]
    assert validate(dataset.uri).faults == []
    assert main(["describe", dataset.uri, "--force"]) == 0
    assert card.read_text() == ours


def test_a_card_that_is_no_text_stays(dataset: Dataset, card: Path) -> None:
    card.write_bytes(b"\xff\xfe\x00")
    assert main(["describe", dataset.uri]) == 0
    assert card.read_bytes() == b"\xff\xfe\x00"


def test_a_card_of_an_older_version_needs_force(tmp_path: Path) -> None:
    """Nobody can tell whether somebody changed it."""
    shutil.unpack_archive(FIXTURES / "version-1.2.zip", tmp_path)
    dataset = open_dataset(str(tmp_path / "synthetic"))
    before = Path(dataset.uri, DATASET_CARD).read_bytes()
    assert main(["describe", dataset.uri]) == 0
    assert Path(dataset.uri, DATASET_CARD).read_bytes() == before
    assert main(["describe", dataset.uri, "--force"]) == 0
    assert card_is_ours(dataset)


def test_a_run_that_adds_rows_keeps_the_card_true(dataset: Dataset, card: Path) -> None:
    run = DatasetRun.start(dataset.uri, "synthetic", sha("later"), {0: 2}, footer=FOOTER, append=True)
    run.sink.commit(0, synthetic_rows(7, 2, sha("later")))
    run.close()
    assert "14 rows in 4 files" in card.read_text()
    assert card_is_ours(open_dataset(dataset.uri))


def test_every_file_is_opened_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening one costs more than reading the columns of a small one: a hundred thousand add up."""
    opened = list[str]()
    open_one = Dataset.open

    def noted(self: Dataset, entry: FileEntry) -> AbstractContextManager[Shard]:
        opened.append(entry.path)
        return open_one(self, entry)

    monkeypatch.setattr(Dataset, "open", noted)
    write_inspection_files(dataset)
    assert opened == [entry.path for entry in dataset.snapshot.files]
