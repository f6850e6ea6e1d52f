"""The service as a user runs it, in a process of its own."""

import http.client
import os
import time
from collections.abc import Mapping
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

    `folder` holds its task files, `scratch` its log and the record of its fires; `environ` is added
    to its variables, which its workers are given, too.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        scratch: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.record = scratch / f"service-{self.port}.record"
        self.database = database
        self.environ = {
            "TASKSERVICE_DATABASE_URL": database.url,
            "TASKSERVICE_TASKS_DIR": str(folder),
            "TASKSERVICE_PORT": str(self.port),
            "TASKSERVICE_IMPORT_PATH": str(ROOT),
            "TASKSERVICE_FUNCTIONS": "benchmarks.work.*",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            VARIABLE: str(self.record),
            **(environ or {}),
        }
        started = _CLOCK()
        log = scratch / f"service-{self.port}.log"
        super().__init__(python("taskservice", "run"), log, self.environ)
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
