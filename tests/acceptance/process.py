"""A service as a user starts it: a process, a folder, a database and HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx

READY_SECONDS = 30.0

T = TypeVar("T")


def wait_for(
    what: str, condition: Callable[[], T | None], *, seconds: float = 15.0, every: float = 0.05
) -> T:
    """Call `condition` until it gives something true, at most for `seconds`; what it gave."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}; last: {found!r}")
        time.sleep(every)


class Child(Protocol):
    """What is used of a process that was started: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    returncode: int | Any

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...


class ServiceProcess:
    """`taskservice run` in a process of its own, started and killed as often as a test likes."""

    def __init__(
        self, database_url: str, folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self._environ = {
            **{key: value for key, value in os.environ.items() if "TASKSERVICE" not in key},
            "TASKSERVICE_DATABASE_URL": database_url,
            "TASKSERVICE_TASKS_DIR": str(folder),
            "TASKSERVICE_PORT": str(self.port),
            **(environ or {}),
        }
        self._process: Child | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process and self._process.poll() is None:
            self.kill()
        self.http.close()

    @property
    def process(self) -> Child:
        """The running process."""
        assert self._process is not None, "start() comes first"
        return self._process

    def start(self) -> None:
        """Start and wait until it is ready."""
        self._process = self._launch(self._environ)
        wait_for("the service is ready", self._is_ready, seconds=READY_SECONDS)

    def _launch(self, environ: Mapping[str, str]) -> Child:
        return subprocess.Popen([sys.executable, "-m", "taskservice", "run"], env=environ)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended with status {self.process.returncode}")
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def write(self, name: str, text: str) -> None:
        """Write a task file as an editor does: whole, by renaming."""
        path = self.folder / name
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def task(self, task_id: str) -> dict[str, Any] | None:
        """A task, or None where there is none (yet)."""
        answer = self.http.get(f"/task-manage/{task_id}")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def send(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """The JSON of a request that must be answered with `status`."""
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
