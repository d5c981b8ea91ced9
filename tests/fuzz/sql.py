"""The SQL guard: generated statements and conditions, of which none may open a file beside the data set's own.

A folder holds files of every kind that polars reads, each with a word that is nowhere else. The kernel tells of every
opening below that folder, whoever does it and whatever comes of it.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.query import query, rows_where
from manifests.writing.run import DatasetRun
from tests.fuzz.target import REFUSALS, Reader, Target, check_line
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, synthetic_rows

CANARY = "canary-3f9a"
_IN_OPEN, _IN_ACCESS = 0x20, 0x1
_SUFFIXES = ("parquet", "csv", "json", "ndjson", "ipc")
_COLUMNS = (
    "sample_id",
    "camera",
    "identity",
    "quality.style_shift",
    "target.camera",
    "*",
    "data.camera",
    "1",
    "COUNT(*)",
)


def set_up() -> Reader:
    """A data set, the canaries, and the watch over them."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    uri = str(folder / "set")
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 4}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(0, 4))
    run.close()
    dataset, watch = open_dataset(uri), Watch(_canaries(folder / "c"))
    return Reader(statements(folder / "c"), lambda text: read(dataset, watch, text))


def read(dataset: Dataset, watch: Watch, text: str) -> None:
    """Ask ``text`` as a statement and as a condition."""
    for ask in (query, rows_where):
        said = _asked(ask, dataset, text)
        assert not watch.opened(), f"{ask.__name__} opened a file beside the data set"
        assert CANARY not in said, f"{ask.__name__} tells what stands in another file"


def _asked(ask: Callable[[Dataset, str], Any], dataset: Dataset, text: str) -> str:
    """The answer or the refusal as text."""
    try:
        answer = ask(dataset, text)
    except REFUSALS as error:
        check_line(error)
        return str(error)
    return str(answer.write_json()) if isinstance(answer, pl.DataFrame) else ""


class Watch:
    """Tells whether a file in a folder was opened since it was last asked (inotify)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK)
        if self._handle < 0 or libc.inotify_add_watch(self._handle, str(folder).encode(), _IN_OPEN | _IN_ACCESS) < 0:
            raise OSError(ctypes.get_errno(), "the folder cannot be watched")

    def opened(self) -> bool:
        try:
            return bool(os.read(self._handle, 65536))
        except BlockingIOError:
            return False


_FORMS = (
    "SELECT {c} FROM {t}",
    "SELECT {c} FROM data WHERE camera IN (SELECT camera FROM {t})",
    "SELECT {c} FROM data WHERE EXISTS (SELECT 1 FROM {t})",
    "SELECT (SELECT COUNT(*) FROM {t}) FROM data",
    "WITH a AS (SELECT * FROM {t}) SELECT {c} FROM a",
    "WITH data AS (SELECT * FROM {t}) SELECT {c} FROM data",
    "WITH read_csv AS (SELECT 1) SELECT {c} FROM {t}",
    "SELECT {c} FROM data JOIN {t} AS b ON data.camera = b.camera",
    "SELECT {c} FROM data, {t}",
    "SELECT {c} FROM data UNION ALL SELECT {o} FROM {t}",
    "SELECT {c} FROM (SELECT * FROM {t}) AS q",
    "SELECT {c} FROM data ORDER BY (SELECT 1 FROM {t})",
    "(SELECT {c} FROM {t})",
    "EXPLAIN SELECT {c} FROM {t}",
    "CREATE TABLE q AS SELECT {c} FROM {t}",
    "SELECT 1; SELECT {c} FROM {t}",
    "camera IN (SELECT camera FROM {t})",
    "(SELECT COUNT(*) FROM {t}) > 0",
    "camera = 3 OR EXISTS (SELECT 1 FROM {t})",
    "SHOW TABLES",
    "FROM {t}",
    "TABLE {t}",
    "SELECT {c} INTO q FROM {t}",
    "INSERT INTO data SELECT {c} FROM {t}",
    "DELETE FROM {t}",
    "DROP TABLE {t}",
    "VALUES ({t})",
    "SELECT {t} FROM data",
    "SELECT UNNEST({t}) FROM data",
)
"""Statements about column {c}, another column {o} and table {t}."""


@st.composite
def statements(draw: st.DrawFn, folder: Path) -> str:
    """A SELECT about the data set, in which a table, a value or a word of the syntax may be something else."""
    table = draw(tables(folder))
    column, other = draw(st.sampled_from(_COLUMNS)), draw(st.sampled_from(_COLUMNS))
    form = draw(st.sampled_from(_FORMS))
    text = form.format(c=column, o=other, t=table)
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, len(text)))
        text = (
            text[:place] + draw(st.text(max_size=3) | st.sampled_from(("'", '"', "`", "--", "/*", ";"))) + text[place:]
        )
    spellings: tuple[Callable[[str], str], ...] = (str, str.lower, str.swapcase, _commented)
    return draw(st.sampled_from(spellings))(text)


@st.composite
def tables(draw: st.DrawFn, folder: Path) -> str:
    """A name of the data set, or a reader of a file, in any spelling."""
    path = f"{folder}/canary.{draw(st.sampled_from(_SUFFIXES))}"
    literal = draw(
        st.sampled_from(
            ("'{}'", '"{}"', "`{}`", "E'{}'", "U&'{}'", "'file://{}'", "[{}]", "$${}$$", "('{}')", "ARRAY['{}']")
        )
    ).format(path)
    reader = f"{draw(st.sampled_from(('read', 'scan', 'READ', 'Scan')))}_{draw(st.sampled_from(_SUFFIXES))}"
    quoted = draw(
        st.sampled_from(("{}", '"{}"', "`{}`", "[{}]", "{}\u00a0", "{}/**/", "{}--x\n", "pl.{}", '"pl"."{}"'))
    ).format(reader)
    gap = draw(st.sampled_from(("", " ", "\n", "\t", "/* ' */", "-- '\n")))
    call = f"{quoted}{gap}({literal})"
    return draw(
        st.sampled_from((call, call, call, f"LATERAL {call}", f"TABLE({call})", literal, "data", '"data"', "`data`"))
    )


def _commented(text: str) -> str:
    return text.replace(" ", "/* it's */")


def _canaries(folder: Path) -> Path:
    """A file of every kind that polars' SQL reads."""
    folder.mkdir()
    frame = pl.DataFrame({"camera": [1, 2], "secret": [CANARY, CANARY]})
    frame.write_parquet(folder / "canary.parquet")
    frame.write_csv(folder / "canary.csv")
    frame.write_json(folder / "canary.json")
    frame.write_ndjson(folder / "canary.ndjson")
    frame.write_ipc(folder / "canary.ipc")
    return folder


TARGETS = {"SQL guard": Target(2, set_up)}
