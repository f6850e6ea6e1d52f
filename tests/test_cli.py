"""The command itself: what it says, how it starts, how it stops."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from taskservice import __version__
from taskservice.cli import serve
from tests.web.bodies import hourly

LIMIT = 20.0
CHECKOUT = Path(__file__).parents[1]
SLOW = """\
import pathlib, time

def nap(started, seconds):
    pathlib.Path(started).touch()
    time.sleep(seconds)
    return "rested"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run in, with a module of the user's own beside the tasks."""
    (tmp_path / "tasks.d").mkdir()
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "slow_module.py").write_text(SLOW)
    return tmp_path


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """The command, started in a folder with only these variables of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TASKSERVICE_")}
    environment["PYTHONPATH"] = str(CHECKOUT)
    return subprocess.Popen(
        [sys.executable, "-m", "taskservice", *arguments],
        cwd=folder,
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command that ends by itself."""
    with command(folder, *arguments, **variables) as process:
        output, errors = process.communicate(timeout=LIMIT)
    return process.returncode, output, errors


class Running:
    """A service that runs as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        self.line = process.stdout.readline()
        found = re.search(r"API (http://\S+:\d+)/task-manage/", self.line)
        assert found, self.line + process.communicate(timeout=LIMIT)[1]
        self.http = httpx.Client(base_url=found[1], timeout=LIMIT)

    def end(self) -> tuple[int, str]:
        """Exit status and log, once it has ended."""
        _, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, errors


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Running]:
    """A service on a free port; killed at the end if it still runs."""
    with command(folder, "run", "--port", "0", *arguments, **variables) as process:
        try:
            service = Running(process)
            with service.http:
                yield service
        finally:
            process.kill()


def wait_for(path: Path) -> None:
    """Until a file is there."""
    limit = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < limit, f"{path} did not come"
        time.sleep(0.01)


def nap(folder: Path, seconds: float) -> dict[str, object]:
    """A task that sleeps on a thread."""
    return hourly(
        id="nap",
        func_path="slow_module.nap",
        func_args={"started": str(folder / "started"), "seconds": seconds},
    )


OWN_MODULE = {"TASKSERVICE_FUNCTIONS": "slow_module.*", "TASKSERVICE_IMPORT_PATH": "modules"}


def test_version_and_help(folder: Path) -> None:
    assert result(folder, "--version") == (0, f"taskservice {__version__}\n", "")
    status, output, _ = result(folder, "--help")
    assert (status, "run" in output) == (0, True)
    status, output, _ = result(folder, "run", "--help")
    assert status == 0
    assert all(flag in output for flag in ("--host", "--port", "--tasks-dir"))


@pytest.mark.parametrize(
    "arguments", [[], ["frob"], ["--frob"], ["run", "--frob"], ["run", "--port"], ["run", "x"]]
)
def test_wrong_usage_is_64(folder: Path, arguments: list[str]) -> None:
    status, output, errors = result(folder, *arguments)
    assert (status, output) == (64, "")
    assert "Error: " in errors


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--port", "x"], {}, "--port (TASKSERVICE_PORT) is 'x': it must be a number"),
        ([], {"TASKSERVICE_PORT": "x"}, "TASKSERVICE_PORT is 'x': it must be a number"),
        ([], {"TASKSERVICE_EXECUTOR": "rocket"}, "TASKSERVICE_EXECUTOR is 'rocket'"),
        (["--tasks-dir", "nope"], {}, "'nope': it must be a folder that exists"),
        (["--host", "0.0.0.0"], {}, "TASKSERVICE_API_TOKENS"),
        ([], {"TASKSERVICE_API_TOKENS": "ann:boss:very-secret"}, "TASKSERVICE_API_TOKENS"),
        (
            ["--host", "no-such-host.invalid"],
            {"TASKSERVICE_API_TOKENS": "ann:admin:very-secret"},
            "no-such-host.invalid",
        ),
        ([], {"TASKSERVICE_DATABASE_URL": "sqlite+aiosqlite:///no/such/folder/t.db"}, "folder"),
        (
            ["--port", "0"],
            {"TASKSERVICE_DATABASE_URL": "mysql+asyncmy://u:very-secret@127.0.0.1:1/d"},
            "127.0.0.1",
        ),
    ],
)
def test_what_stops_a_start_is_one_line(
    folder: Path, arguments: list[str], variables: dict[str, str], said: str
) -> None:
    status, output, errors = result(folder, "run", *arguments, **variables)
    assert (status, output) == (1, "")
    assert errors.startswith("taskservice: ") and errors.count("\n") == 1, errors
    assert said in errors
    assert "very-secret" not in errors


def test_a_missing_folder_stops_the_start(tmp_path: Path) -> None:
    status, _, errors = result(tmp_path, "run", "--port", "0")
    assert status == 1
    assert errors.startswith("taskservice: ") and errors.count("\n") == 1, errors
    assert "tasks.d" in errors


def test_a_port_in_use_stops_the_start(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output, errors = result(folder, "run", "--port", str(port))
    assert (status, output) == (1, "")
    assert errors.startswith(f"taskservice: port {port} on 127.0.0.1 is in use: ")
    assert errors.count("\n") == 1
    assert not (folder / "taskservice.db").exists()


def test_a_database_that_is_away_stops_the_start_and_leaves_the_next_one_to_a_supervisor(
    folder: Path,
) -> None:
    """As on failure: systemd, told to restart then, tries again until the database is there."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"mysql+asyncmy://taskservice:s3cret@127.0.0.1:{port}/taskservice"
    status, output, errors = result(folder, "run", TASKSERVICE_DATABASE_URL=url)
    assert (status, output) == (1, "")
    place = f"mysql+asyncmy://taskservice:***@127.0.0.1:{port}/taskservice"
    assert errors.startswith(f"taskservice: no database at {place}: Can't connect to ")
    assert errors.count("\n") == 1


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """As a script starts a command in the background: with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_background")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_with_0(folder: Path, number: signal.Signals) -> None:
    with running(folder) as service:
        base = str(service.http.base_url).rstrip("/")
        assert service.line == (
            f"taskservice {__version__}: console {base}/  API {base}/task-manage/  "
            f"docs {base}/schema\n"
        )
        for path in ("/", "/task-manage/", "/schema"):
            assert service.http.get(path, follow_redirects=True).status_code == 200
        service.process.send_signal(number)
        status, errors = service.end()
    assert status == 0
    events = re.findall(r'"event": "(\w+)"', errors)
    assert events[-2:] == ["stopping", "stopped"]


def test_a_request_over_a_real_connection(folder: Path) -> None:
    variables = {
        "TASKSERVICE_API_TOKENS": "ann:admin:very-secret",
        "TASKSERVICE_FUNCTION": "my.*",
        **{f"TASKSERVICE_PORT_{number}_TCP": "tcp://10.0.0.1:1" for number in range(30)},
    }
    with running(folder, **variables) as service:
        service.http.headers["Authorization"] = "Bearer very-secret"
        assert service.http.post("/task-manage/", json=hourly()).status_code == 201
        large = service.http.post("/task-manage/", content=b" " * (2 * 1024 * 1024))
        assert large.status_code == 413
        head = service.http.head("/task-manage/")
        assert (head.status_code, head.content) == (200, b"")
        service.process.terminate()
        status, errors = service.end()
    assert (status, "very-secret" in errors) == (0, False)
    # What is no setting is told with the nearest one, and stops nothing.
    assert '"variable": "TASKSERVICE_FUNCTION", "did_you_mean": "TASKSERVICE_FUNCTIONS"' in errors
    assert errors.count('"unknown_variable"') == 20
    assert '"more": 11' in errors


def test_sigterm_lets_running_executions_end_while_the_api_answers(folder: Path) -> None:
    with running(folder, **OWN_MODULE) as service:
        assert service.http.post("/task-manage/", json=nap(folder, 2)).status_code == 201
        execution = service.http.post("/task-manage/nap/trigger").json()
        wait_for(folder / "started")
        service.process.terminate()
        limit = time.monotonic() + LIMIT
        while service.http.get("/health/ready").status_code == 200:
            assert time.monotonic() < limit
        assert service.http.get("/health/live").status_code == 200
        assert service.http.post("/task-manage/nap/trigger").status_code == 503
        assert service.end()[0] == 0
    with running(folder, **OWN_MODULE) as service:
        row = service.http.get(f"/task-manage/nap/logs/{execution['id']}").json()
        assert (row["status"], row["result"]) == ("completed", '"rested"')


def test_a_stream_of_events_tells_of_the_drain_and_ends_with_it(folder: Path) -> None:
    with running(folder, **OWN_MODULE) as service:
        service.http.post("/task-manage/", json=nap(folder, 1))
        with service.http.stream("GET", "/events") as answer:
            service.http.post("/task-manage/nap/trigger")
            wait_for(folder / "started")
            service.process.terminate()
            lines = list(answer.iter_lines())
        ended = time.monotonic()
        status, errors = service.end()
    assert (status, "request_failed" in errors, "Exception" in errors) == (0, False, False)
    # Uvicorn would have waited for it as long as it waits for any answer.
    assert time.monotonic() - ended < serve.LAST_ANSWERS - 1
    assert any('"status":"completed"' in line for line in lines if line.startswith("data: "))


def test_one_who_listens_and_does_not_read_holds_up_no_stop(folder: Path) -> None:
    with running(folder) as service, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.connect((service.http.base_url.host, service.http.base_url.port))
        deaf.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert deaf.recv(12) == b"HTTP/1.1 200"
        service.http.post("/task-manage/", json=hourly(id="t", description="x" * 60_000))
        for number in range(100):
            answer = service.http.put("/task-manage/t", json={"max_instances": number % 2 + 1})
            assert answer.status_code == 200
        service.process.terminate()
        status, errors = service.end()
    assert (status, "request_failed" in errors) == (0, False)


def test_after_the_grace_the_rest_is_marked_and_no_thread_keeps_the_process(folder: Path) -> None:
    with running(folder, "--shutdown-grace", "0.2", **OWN_MODULE) as service:
        service.http.post("/task-manage/", json=nap(folder, 3600))
        execution = service.http.post("/task-manage/nap/trigger").json()
        wait_for(folder / "started")
        service.process.terminate()
        assert service.end()[0] == 0
    with running(folder, **OWN_MODULE) as service:
        row = service.http.get(f"/task-manage/nap/logs/{execution['id']}").json()
        assert row["status"] in ("failed", "cancelled")
        assert row["error"].startswith("interrupted:")


def test_a_second_signal_stops_at_once(folder: Path) -> None:
    with running(folder, **OWN_MODULE) as service:
        service.http.post("/task-manage/", json=nap(folder, 3600))
        service.http.post("/task-manage/nap/trigger")
        wait_for(folder / "started")
        service.process.terminate()
        limit = time.monotonic() + LIMIT
        while service.http.get("/health/ready").status_code == 200:
            assert time.monotonic() < limit
        service.process.send_signal(signal.SIGINT)
        status, errors = service.end()
    assert status == 1
    assert "stopped_at_once" in errors


def test_all_the_files_that_may_be_open_may_be(tmp_path: Path) -> None:
    (tmp_path / "tasks.d").mkdir()
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, 512), most))
    try:
        with running(tmp_path) as service:
            limits = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    assert limits == (most, most)
