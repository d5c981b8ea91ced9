"""A real S3 server behind a proxy that fails: requests refused, lost, answered with an error, answers cut."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from manifests.reading.dataset import open_dataset
from tests.chaos.bench import Bench
from tests.chaos.commands import Forked, environment, strike, timed
from tests.chaos.datasets import Found, look
from tests.chaos.tally import Tally
from tests.chaos.writers import drive, expected
from tests.faulty_proxy import FaultyProxy
from tests.s3_server import S3Server

SHARES = {"503": 0.2, "500": 0.2, "drop": 0.2, "reset": 0.2, "lose": 0.2, "cut": 0.2, "delay": 0.3}
"""Share of the requests that meet the fault."""
OUTAGES = {"refuse": 4.0, "503": 4.0}
"""Seconds for which nothing else is answered."""


def run(bench: Bench) -> Iterator[Tally]:
    """The rows of the table, each when it is complete."""
    seed = int(bench.random.integers(2**31))
    with (
        S3Server(bench.folder / "server") as server,
        FaultyProxy(server.url, seed) as proxy,
        environment(server.environment()),
    ):
        store = Store(f"s3://{server.BUCKET}", proxy, server.environment(proxy.url))
        seconds = timed(bench.folder, _behind, store.variables, drive, f"{store.root}/whole")
        store.digest = open_dataset(f"{store.root}/whole").digest()
        for fault in SHARES:
            yield shares(bench, store, fault)
        for fault in OUTAGES:
            yield outages(bench, store, fault, seconds)
        yield kills(bench, store, seconds)


@dataclass
class Store:
    """The bucket, the proxy before it, and the environment in which a process sees the bucket through the proxy."""

    root: str
    proxy: FaultyProxy
    variables: Mapping[str, str]
    digest: str = ""
    """Of an unbroken run."""

    def drive(self, place: Path, uri: str) -> Forked:
        return Forked(place, _behind, self.variables, drive, uri)

    def look(self, uri: str) -> Found:
        """What lies in the bucket, seen without the proxy."""
        return look(uri, expected(), self.digest)


def shares(bench: Bench, store: Store, fault: str) -> Tally:
    """A share of all requests of a run meets the fault; the run ends well."""
    tally = bench.tally(f"S3: {fault} for {SHARES[fault]:.0%} of the requests", 5)
    for place in bench.trials(tally):
        uri = f"{store.root}/{fault}-{place.name}"
        store.proxy.shares = {fault: SHARES[fault]}
        again = store.drive(place, uri).wait()
        store.proxy.mend()
        tally.add(store.look(uri), again=again)
    return tally


def outages(bench: Bench, store: Store, fault: str, seconds: float) -> Tally:
    """For some seconds in the middle of a run nothing is answered; the run waits and ends well."""
    tally = bench.tally(f"S3: {fault} for {OUTAGES[fault]:.0f} seconds", 3)
    for place in bench.trials(tally):
        uri = f"{store.root}/away-{fault}-{place.name}"
        process = store.drive(place, uri)
        time.sleep(bench.moment(seconds))
        alive = process.alive()
        store.proxy.outage(fault, OUTAGES[fault])
        again = process.wait()
        store.proxy.mend()
        if alive:
            tally.add(store.look(uri), again=again)
    return tally


def kills(bench: Bench, store: Store, seconds: float) -> Tally:
    """The driver of a run to S3 is killed and started again."""
    tally = bench.tally("S3: driver killed", 10)
    for place in bench.trials(tally):
        uri = f"{store.root}/killed-{place.name}"
        process = store.drive(place, uri)
        killed = strike(process, bench.moment(seconds))
        process.wait()
        if killed:
            again = store.drive(place, uri).wait()
            tally.add(store.look(uri), again=again)
    return tally


def _behind(variables: Mapping[str, str], call: Callable[..., object], *arguments: object) -> object:
    os.environ.update(variables)
    return call(*arguments)
