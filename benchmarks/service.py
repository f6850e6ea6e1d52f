"""The service as a user runs it, in a process of its own."""

import http.client
import os
import time
from contextlib import closing
from pathlib import Path

import msgspec

from benchmarks.databases import Database
from benchmarks.errors import Failed
from benchmarks.processes import ROOT, Process, free_port, python
from benchmarks.record import VARIABLE

_CLOCK = time.perf_counter


class Service(Process):
    """`taskservice run`, ready when the constructor returns; `start_seconds` is how long it took.

    `folder` holds its task files, `scratch` its log and the record of its fires.
    """

    def __init__(self, database: Database, folder: Path, scratch: Path) -> None:
        self.port = free_port()
        self.record = scratch / f"service-{self.port}.record"
        started = _CLOCK()
        super().__init__(
            python("taskservice", "run"),
            scratch / f"service-{self.port}.log",
            {
                "TASKSERVICE_DATABASE_URL": database.url,
                "TASKSERVICE_TASKS_DIR": str(folder),
                "TASKSERVICE_PORT": str(self.port),
                "TASKSERVICE_IMPORT_PATH": str(ROOT),
                "TASKSERVICE_FUNCTIONS": "benchmarks.work.*",
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                VARIABLE: str(self.record),
            },
        )
        try:
            self.wait_until(self._is_ready)
        except BaseException:
            self.kill()
            raise
        self.start_seconds = _CLOCK() - started

    def request(self, method: str, path: str, body: object = None) -> object:
        """The decoded body of an answer, None where it has none; raises `Failed`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with closing(connection):
            data = None if body is None else msgspec.json.encode(body)
            try:
                connection.request(method, path, data, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise Failed(f"{method} {path}: {error!r}") from error
            if answer.status >= 300:
                raise Failed(f"{method} {path}: {answer.status} {content[:500]!r}")
            return msgspec.json.decode(content) if content else None

    def _is_ready(self) -> bool:
        try:
            self.request("GET", "/health/ready")
        except Failed:
            return False
        return True
