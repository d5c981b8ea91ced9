"""A real S3 server (SeaweedFS, in one process on 127.0.0.1) for tests, with one bucket and one pair of keys.

with S3Server(folder) as server:
    os.environ.update(server.environment())            # what obstore, polars and boto read
    os.environ.update(server.environment(proxy.url))   # the same through a `tests.faulty_proxy.FaultyProxy`
    open_dataset(f"s3://{server.BUCKET}/dataset")
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import requests

_SERVICES = ("master", "volume", "filer", "s3")
_START_SECONDS = 120.0


class S3Server:
    """Starts with the block and is gone after it; keeps its data below ``folder``.

    Raises:
        RuntimeError: it did not start; the end of its log tells why.
    """

    BUCKET = "bucket"
    KEY, SECRET = "test-key", "test-secret"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""

    def environment(self, url: str | None = None) -> dict[str, str]:
        """The environment variables by which a client finds the server, at its own URL or a proxy's."""
        return {
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": self.KEY,
            "AWS_SECRET_ACCESS_KEY": self.SECRET,
            "AWS_REGION": "us-east-1",
        }

    def __enter__(self) -> S3Server:
        self._folder.mkdir(parents=True, exist_ok=True)
        keys = [{"accessKey": self.KEY, "secretKey": self.SECRET}]
        identities = [{"name": "tests", "credentials": keys, "actions": ["Read", "Write", "List", "Tagging"]}]
        (self._folder / "keys.json").write_text(json.dumps({"identities": identities}))
        ports = _free_ports(2 * len(_SERVICES))
        web, self._grpc = (dict(zip(_SERVICES, some, strict=True)) for some in (ports[::2], ports[1::2]))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("weed")), "server", *self._options(web)],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "TMPDIR": str(self._folder)},
            )
        try:
            self._wait(f"http://127.0.0.1:{web['s3']}", f"http://127.0.0.1:{web['filer']}")
        except BaseException:
            self.__exit__()
            raise
        self.url = f"http://127.0.0.1:{web['s3']}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # asked to end, it takes longer than a test
        self._process.wait()
        for name, port in self._grpc.items():
            Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)

    def _options(self, web: dict[str, int]) -> list[str]:
        return [
            f"-dir={self._folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{name}.port={port}" for name, port in web.items()),
            *(f"-{name}.port.grpc={port}" for name, port in self._grpc.items()),
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=20",
            "-filer",
            f"-filer.localSocket={self._folder}/filer.sock",
            "-s3",
            f"-s3.config={self._folder}/keys.json",
            f"-s3.localSocket={self._folder}/s3.sock",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]

    def _wait(self, s3: str, filer: str) -> None:
        """Until the bucket is made and a file can be put into it."""
        for _ in range(int(_START_SECONDS / 0.1)):
            try:
                # A file of some size needs a volume, which comes last.
                stored = requests.post(f"{filer}/probe/file", files={"file": bytes(100_000)}, timeout=5).ok
                if stored and requests.get(s3, timeout=5).status_code == 403:
                    requests.post(f"{filer}/buckets/{self.BUCKET}/", timeout=5).raise_for_status()
                    return
            except requests.RequestException:
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        end = (self._folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the S3 server did not start: {end}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
