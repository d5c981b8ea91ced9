"""Telling a lineage server or a file what a run does: START, then COMPLETE, FAIL or ABORT.

Nothing that goes wrong here stops or fails a run: one line on stderr says so.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from pydantic import Field, field_validator

from manifests.common.json_text import json_text
from manifests.errors import one_line
from manifests.reading.dataset import open_dataset
from pipeline.common.settings import Advanced, JobSettings
from pipeline.synthesis.lineage_events import EventType, Json, LineageRun, run_event

API = "/api/v1/lineage"
"""Path of a server's door for events, by OpenLineage's API; used where the URL names none."""
KEY_VARIABLE = "OPENLINEAGE_API_KEY"
"""Environment variable with the server's key: a key on the command line would be printed with the settings."""
_TIMEOUT_SECONDS = (5, 10)


class LineageSettings(JobSettings):
    """Where OpenLineage events go; decides no byte of a job's result."""

    group = "run"
    lineage: Advanced[str | None] = Field(
        None, description="send OpenLineage events: http(s):// of a server, or a file that they are appended to"
    )

    @field_validator("lineage")
    @classmethod
    def _a_server_or_a_file(cls, place: str | None) -> str | None:
        if place is not None and "://" in place and not place.startswith(("http://", "https://", "file://")):
            raise ValueError("an http:// or https:// server, or a file on this machine")
        return place


@contextmanager
def telling(place: str | None, run: LineageRun) -> Iterator[None]:
    """Tell ``place`` (None: nobody) that the run starts and how it ends; what ends it is raised as it came.

    A run that raises has failed; one that a signal stops (`manifests.common.stopping`) was aborted.
    """
    if place is None:
        yield
        return
    listener = _Listener(place, run)
    listener.tell("START")
    try:
        yield
    except Exception as error:
        listener.tell("FAIL", str(error) or type(error).__name__)
        raise
    except BaseException:
        listener.tell("ABORT")
        raise
    listener.tell("COMPLETE")


class _Listener:
    """Where the events of one run go; after the first that got lost it stays silent about others."""

    def __init__(self, place: str, run: LineageRun) -> None:
        self._place, self._run = place, run
        self._run_id = str(uuid.uuid4())
        self._warned = False

    def tell(self, event: EventType, error: str | None = None) -> None:
        # Whatever it is that goes wrong with the telling, what it tells of goes on.
        try:
            made = open_dataset(self._run.output_uri) if event == "COMPLETE" else None
            _send(self._place, run_event(event, self._run_id, self._run, error=error, made=made))
        except Exception as problem:
            if not self._warned:
                print(f"warning: no lineage to {_shown(self._place)}: {one_line(problem)}", file=sys.stderr, flush=True)
            self._warned = True


def _send(place: str, event: Json) -> None:
    text = json_text(event, ensure_ascii=False)
    if not place.startswith(("http://", "https://")):
        file = Path(place.removeprefix("file://")).expanduser()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")
        return
    parts = urlsplit(place)
    door = place if parts.path.strip("/") else urlunsplit(parts._replace(path=API))
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    try:
        answer = requests.post(door, data=text.encode(), headers=headers, timeout=_TIMEOUT_SECONDS)
    except requests.Timeout:
        raise ValueError(f"no answer within {_TIMEOUT_SECONDS[1]} seconds") from None
    except requests.ConnectionError:
        raise ValueError("no server answers there") from None
    if not answer.ok:
        raise ValueError(f"it answers {answer.status_code} {answer.reason}")


def _shown(place: str) -> str:
    """``place`` without a name and password that it may hold."""
    parts = urlsplit(place)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
