"""OpenLineage events as a server and a file get them, read back with the classes of OpenLineage's own client."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openlineage.client.generated as generated
import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

from manifests.common.stopping import Stopped, stop_raises
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from pipeline.common.settings import parse_settings
from pipeline.synthesis.lineage_events import LineageRun, dataset_name
from pipeline.synthesis.lineage_sending import KEY_VARIABLE, LineageSettings, telling
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, source_rows, synthetic_rows

RECORD = {
    "job": "synthesize",
    "settings": {"seed": 7},
    "settings_sha256": sha("settings"),
    "checkpoints": [{"name": "ptgan", "role": "generator", "recipe": "ptgan", "sha256": sha("g"), "licence": None}],
    "environment": {"git_commit": "c0ffee" * 6 + "0000", "fingerprint": "f1"},
}
Event = dict[str, Any]


class Server:
    """A lineage server on this machine that keeps what it gets."""

    def __init__(self, status: int = 201) -> None:
        self.events: list[Event] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        server = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.events.append(json.loads(body))
                server.paths.append(self.path)
                server.keys.append(self.headers["Authorization"])
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def source(tmp_path: Path) -> Dataset:
    run = DatasetRun.start(str(tmp_path / "source"), "source", PLAN_ID, {0: 4})
    run.sink.commit(0, source_rows(4))
    run.close()
    return open_dataset(run.uri)


@pytest.fixture
def run(source: Dataset, tmp_path: Path) -> LineageRun:
    return LineageRun("synthesize", "synthetic", RECORD, (source,), str(tmp_path / "made"))


def make(uri: str) -> Dataset:
    started = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 3}, footer=FOOTER)
    started.sink.commit(0, synthetic_rows(0, 3))
    started.close()
    return open_dataset(uri)


def written(file: Path) -> list[Event]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@functools.cache
def facet_classes() -> dict[str, type]:
    """The client's classes by the URL of their schema."""
    modules = [
        importlib.import_module(f"{generated.__name__}.{one.name}") for one in pkgutil.iter_modules(generated.__path__)
    ]
    classes = [one for module in modules for one in vars(module).values() if hasattr(one, "_get_schema")]
    return {one._get_schema(): one for one in classes}


def check_facets(facets: dict[str, Event]) -> None:
    known = facet_classes()
    for name, facet in facets.items():
        fields = dict(facet)
        assert fields.pop("_producer").startswith("pkg:generic/reid-synth")
        described_by = known[fields.pop("_schemaURL")]
        if not name.startswith("reidSynth_"):
            described_by(**fields)  # refuses fields that it does not know and misses those that it needs


def check(event: Event) -> None:
    """The client's classes take the event as it is, facets included."""
    inputs, outputs = ([dict(one) for one in event[side]] for side in ("inputs", "outputs"))
    for facets in (event["run"]["facets"], event["job"]["facets"]):
        check_facets(facets)
    for one in (*inputs, *outputs):
        for key in ("facets", "inputFacets", "outputFacets"):
            check_facets(one.get(key, {}))
    RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=RunState(event["eventType"]),
        run=Run(**event["run"]),
        job=Job(**event["job"]),
        inputs=[InputDataset(**one) for one in inputs],
        outputs=[OutputDataset(**one) for one in outputs],
    )
    assert event["schemaURL"] == RunEvent._get_schema()


def test_a_server_is_told_of_start_and_end(server: Server, run: LineageRun, source: Dataset) -> None:
    with telling(server.url, run):
        assert [event["eventType"] for event in server.events] == ["START"]
        made = make(run.output_uri)
    start, complete = server.events
    for event in (start, complete):
        check(event)
    assert server.paths == ["/api/v1/lineage"] * 2
    assert complete["eventType"] == "COMPLETE"
    assert start["run"]["runId"] == complete["run"]["runId"]
    (given,) = complete["inputs"]
    assert (given["namespace"], given["name"]) == ("file", source.uri)
    assert given["facets"]["version"]["datasetVersion"] == source.digest()
    assert given["inputFacets"]["inputStatistics"]["rowCount"] == 4
    (output,) = complete["outputs"]
    assert output["facets"]["version"]["datasetVersion"] == made.digest()
    assert output["outputFacets"]["outputStatistics"]["fileCount"] == 1
    assert [one["name"] for one in output["facets"]["schema"]["fields"]] == made.read().column_names
    assert "version" not in start["outputs"][0]["facets"]


def test_events_say_settings_checkpoints_and_commit(run: LineageRun, tmp_path: Path) -> None:
    with telling(str(tmp_path / "events"), run):
        make(run.output_uri)
    event = written(tmp_path / "events")[0]
    assert event["job"]["facets"]["sourceCodeLocation"]["version"] == RECORD["environment"]["git_commit"]  # type: ignore[index]
    facets = event["run"]["facets"]
    assert facets["reidSynth_checkpoints"]["checkpoints"] == RECORD["checkpoints"]
    assert facets["reidSynth_settings"]["settingsSha256"] == sha("settings")


def test_each_run_adds_its_events_to_the_file(run: LineageRun, tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "events.jsonl"
    for _ in range(2):
        with telling(f"file://{file}", run):
            make(run.output_uri)
    events = written(file)
    for event in events:
        check(event)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
    assert len({event["run"]["runId"] for event in events}) == 2


@pytest.mark.parametrize("error", [UserError("the disk is full"), ZeroDivisionError("division by zero")])
def test_a_run_that_raises_has_failed(error: Exception, run: LineageRun, tmp_path: Path) -> None:
    with pytest.raises(type(error), match=str(error)), telling(str(tmp_path / "events"), run):
        raise error
    failed = written(tmp_path / "events")[-1]
    check(failed)
    assert failed["eventType"] == "FAIL"
    assert failed["run"]["facets"]["errorMessage"]["message"] == str(error)


def test_a_run_that_ctrl_c_stops_is_aborted(run: LineageRun, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), telling(str(tmp_path / "events"), run):
        raise KeyboardInterrupt
    aborted = written(tmp_path / "events")[-1]
    check(aborted)
    assert aborted["eventType"] == "ABORT"


def test_a_run_that_sigterm_stops_is_aborted_and_ends(run: LineageRun, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped, stop_raises(), telling(str(tmp_path / "events"), run):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.status == 128 + signal.SIGTERM
    assert written(tmp_path / "events")[-1]["eventType"] == "ABORT"
    assert signal.getsignal(signal.SIGTERM) is before


def test_runs_in_other_threads_are_told_of_too(run: LineageRun, tmp_path: Path) -> None:
    def work() -> None:
        with telling(str(tmp_path / "events"), run):
            make(run.output_uri)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [event["eventType"] for event in written(tmp_path / "events")] == ["START", "COMPLETE"]


def test_nobody_is_told_where_nobody_asked(run: LineageRun) -> None:
    with telling(None, run):
        made = make(run.output_uri)
    assert made.snapshot.rows == 3


def test_a_dead_server_costs_one_line(run: LineageRun, capsys: pytest.CaptureFixture[str]) -> None:
    gone = Server()
    gone.close()
    with telling(gone.url.replace("//", "//me:secret@"), run):
        made = make(run.output_uri)
    assert made.snapshot.rows == 3
    assert capsys.readouterr().err == f"warning: no lineage to {gone.url}: no server answers there\n"


def test_a_server_that_refuses_costs_one_line(run: LineageRun, capsys: pytest.CaptureFixture[str]) -> None:
    refusing = Server(status=503)
    with telling(refusing.url, run):
        make(run.output_uri)
    refusing.close()
    assert len(refusing.events) == 2  # it may be up again when the run ends
    assert capsys.readouterr().err == f"warning: no lineage to {refusing.url}: it answers 503 Service Unavailable\n"


def test_a_file_that_cannot_be_written_costs_one_line(
    run: LineageRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with telling(str(tmp_path), run):
        make(run.output_uri)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_key_and_another_door_of_the_server(server: Server, run: LineageRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "s3cret")
    with telling(f"{server.url}/events", run):
        make(run.output_uri)
    assert server.paths == ["/events"] * 2
    assert server.keys == ["Bearer s3cret"] * 2


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/runs/market/", ("s3://bucket", "runs/market")),
        ("gs://bucket", ("gs://bucket", "/")),
        ("/runs/market", ("file", "/runs/market")),
        ("file:///runs/market", ("file", "/runs/market")),
        ("market", ("file", str(Path("market").absolute()))),
    ],
)
def test_data_sets_are_named_as_openlineage_names_them(uri: str, expected: tuple[str, str]) -> None:
    assert dataset_name(uri) == expected


def test_a_place_that_is_none_is_a_users_mistake() -> None:
    for place in ("http://server:5000", "https://server/api", "file:///events", "runs/events.jsonl"):
        assert parse_settings(LineageSettings, ["--lineage", place]).lineage == place
    with pytest.raises(UserError, match=r"^--lineage: an http:// or https:// server, or a file on this machine"):
        parse_settings(LineageSettings, ["--lineage", "s3://bucket/events"])
