"""Files in a real S3 server, behind a proxy that fails: what passes is survived, what stays is one line."""

from __future__ import annotations

import io
import re
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.common import patience
from manifests.errors import PassingError, UserError
from manifests.storage import object_store
from manifests.storage.store_faults import passes, reason
from manifests.storage.whole_files import Storage, open_storage
from tests.faulty_proxy import FaultyProxy

CONTENT = np.random.default_rng(3).bytes(1_500_000)
PASSING = ("refuse", "drop", "reset", "lose", "500", "503", "cut", "stall")


@pytest.fixture
def uri() -> str:
    return f"s3://bucket/{uuid.uuid4().hex}/a b"


@pytest.fixture
def storage(proxy: FaultyProxy, uri: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Below a new prefix; every try is ours to repeat, and everything soon."""
    monkeypatch.setitem(object_store._RETRIES, "max_retries", 0)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.02)
    monkeypatch.setenv("AWS_READ_TIMEOUT", "250 ms")
    return open_storage(uri)


def test_a_real_server_behaves_as_storages_do(storage: Storage) -> None:
    assert storage.read("run.json") is None
    assert storage.list() == []
    storage.write("data/2", CONTENT)
    storage.write("data/1", b"one")
    storage.write("data/1", b"uno!")
    storage.write("empty", b"")
    assert storage.read("data/1") == b"uno!"
    assert storage.read("data/2") == CONTENT
    assert storage.read("empty") == b""
    assert [entry[:2] for entry in storage.list("data")] == [("data/1", 4), ("data/2", len(CONTENT))]
    assert storage.list("dat") == []
    assert storage.create("_commits/1", b"first")
    assert not storage.create("_commits/1", b"second")
    storage.delete("data/1")
    storage.delete("data/1")
    assert [entry.path for entry in storage.list()] == ["_commits/1", "data/2", "empty"]


def test_a_file_is_read_at_any_place(storage: Storage) -> None:
    storage.write("file", CONTENT)
    storage.write("empty", b"")
    with storage.open("file") as stream:
        assert stream.size() == len(CONTENT)
        stream.seek(1_200_000)
        assert stream.read(5) == CONTENT[1_200_000:1_200_005]
        assert stream.read() == CONTENT[1_200_005:]
        assert stream.read(1) == b""
        stream.seek(10)
        assert stream.read(1_400_000) == CONTENT[10:1_400_010]
    with storage.open("empty") as stream:
        assert stream.read() == b""
    with pytest.raises(UserError, match=r"^cannot read s3://bucket/.*/absent: [^\n]+$"):
        storage.open("absent")


@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_pass_are_survived_by_every_operation(proxy: FaultyProxy, storage: Storage, fault: str) -> None:
    def meet() -> None:
        if fault == "refuse":
            proxy.outage("refuse", 0.1)
        else:
            proxy.next(fault, count=tries)

    tries = 1 if fault == "stall" else 2
    meet()
    storage.write("file", CONTENT)
    meet()
    assert storage.read("file") == CONTENT
    meet()
    with storage.open("file") as stream:
        stream.seek(700_000)
        meet()
        assert stream.read() == CONTENT[700_000:]
    meet()
    assert storage.create("_commits/1", b"ours")
    assert not storage.create("_commits/1", b"theirs")
    meet()
    assert [entry.path for entry in storage.list()] == ["_commits/1", "file"]
    meet()
    storage.delete("file")
    assert storage.read("file") is None
    assert fault == "refuse" or proxy.met[fault] >= 5 * tries


def test_an_answer_that_breaks_off_goes_on_from_there(proxy: FaultyProxy, storage: Storage) -> None:
    storage.write("file", CONTENT)
    proxy.cut_after = 400_000
    proxy.outage("cut")
    assert storage.read("file") == CONTENT
    with storage.open("file") as stream:
        assert stream.read() == CONTENT


def test_a_file_put_in_parts_arrives_whole(
    proxy: FaultyProxy, storage: Storage, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = CONTENT * 8  # obstore puts more than 5 MiB in parts, and tries each part again
    monkeypatch.setitem(object_store._RETRIES, "max_retries", 3)
    storage = open_storage(uri)
    proxy.shares = {"503": 0.1, "drop": 0.05, "lose": 0.05}
    storage.write("large", large)
    assert storage.read("large") == large
    assert proxy.met.total() > 0
    assert [entry.path for entry in storage.list()] == ["large"]


def test_a_file_replaced_in_the_middle_is_read_whole(proxy: FaultyProxy, storage: Storage) -> None:
    other = CONTENT[::-1]
    storage.write("file", CONTENT)
    download = object_store._Download
    go_on = download.go_on

    def replaced_once(self: object_store._Download, patience: patience.Patience) -> bytes:
        proxy.next("cut")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download, "go_on", go_on)
            with pytest.raises(object_store.BaseError):
                self.go_on(patience)
            storage.write("file", other)
            proxy.mend()
        download.go_on = go_on
        return self.go_on(patience)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "go_on", replaced_once)
        assert storage.read("file") == other


def test_who_created_a_file_learns_it_though_the_answer_was_lost(proxy: FaultyProxy, storage: Storage) -> None:
    proxy.next("lose", "PUT")
    assert storage.create("_commits/1", b"ours")
    storage.write("_commits/2", b"theirs")
    proxy.next("lose", "PUT")
    assert not storage.create("_commits/2", b"ours")
    proxy.next("409", "PUT", count=2)  # a conflict in which nobody won
    assert storage.create("_commits/3", b"ours")
    assert storage.read("_commits/3") == b"ours"


def test_an_outage_is_told_and_patience_ends(
    proxy: FaultyProxy, storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.1)
    proxy.outage("refuse", 0.5)
    assert storage.read("run.json") is None
    told = capsys.readouterr().err.splitlines()
    where = re.escape(storage.locate("run.json"))
    assert len(told) == 2
    assert re.fullmatch(rf"waiting for {where}: connection refused; trying again until \d\d:\d\d:\d\d", told[0])
    assert re.fullmatch(rf"waiting for {where}: goes on after \d+ s", told[1])
    monkeypatch.setenv("REID_SYNTH_PATIENCE", "0.3")
    proxy.outage("503")
    expected = r"^cannot write s3://\S+ b/run.json: HTTP 503 \S+ \S+: SlowDown, Slow Down; tried for 0.3 s [^\n]+ again"
    with pytest.raises(PassingError, match=expected):
        storage.write("run.json", b"{}")
    proxy.mend()
    storage.write("run.json", b"{}")


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_patience_is_a_number_of_seconds(storage: Storage, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REID_SYNTH_PATIENCE", text)
    with pytest.raises(UserError, match=f"REID_SYNTH_PATIENCE={text}: a number of seconds"):
        storage.read("run.json")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "HTTP 403 Forbidden: SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "HTTP 403 Forbidden: InvalidAccessKeyId"),
        ({"AWS_ALLOW_HTTP": ""}, "AWS_ALLOW_HTTP=true"),
        ({"bucket": "none-such"}, "HTTP 404 Not Found: NoSuchBucket"),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1"},
            "no credentials",
        ),
    ],
)
def test_faults_that_stay_are_one_line_at_once(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | None], expected: str
) -> None:
    settings = dict(settings)
    bucket = settings.pop("bucket", "bucket")
    for name, value in settings.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    storage = open_storage(f"s3://{bucket}/x")
    for verb, action in {
        "read": lambda: storage.read("run.json"),
        "write": lambda: storage.write("run.json", b"{}"),
        "list": lambda: storage.list(),
    }.items():
        before = len(proxy.seen)
        with pytest.raises(UserError, match=rf"^cannot {verb} s3://{bucket}/x/\S*: [^\n]*{expected}[^\n]*$") as caught:
            action()
        assert not isinstance(caught.value, PassingError)
        assert len(proxy.seen) <= before + 1


def test_what_obstore_says_is_understood() -> None:
    lookup = "HTTP error: error sending request\n\nDebug source: failed to lookup address information: "
    told = {
        lookup + "Name or service not known": (False, "no such host: check the endpoint and the region"),
        lookup + "Temporary failure in name resolution": (True, "the host's name cannot be looked up"),
        "Generic S3 error: something new\nDebug source": (False, "Generic S3 error: something new"),
    }
    for text, expected in told.items():
        error = object_store.obstore.exceptions.GenericError(text)
        assert (passes(error), reason(error)) == expected


def test_columns_are_read_through_cut_answers(proxy: FaultyProxy, storage: Storage) -> None:
    rows = 40_000
    table = pa.table({"number": np.arange(rows), "noise": np.random.default_rng(5).random(rows)})
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=rows // 8)
    storage.write("data/1.parquet", stream.getvalue())
    proxy.shares = {"cut": 0.3}
    for _ in range(3):
        with storage.open("data/1.parquet") as source:
            assert pq.read_table(source, columns=["noise"]).equals(table.select(["noise"]))
    assert proxy.met["cut"] > 2
