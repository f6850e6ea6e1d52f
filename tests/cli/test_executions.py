"""`logs`, `trigger` and `cancel` against a real service."""

import json
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.cli.conftest import Cli
from tests.web.bodies import hourly

LIMIT = 30.0
JOBS = Path(__file__).parent / "jobs"


@pytest.fixture(scope="module")
def environ() -> Mapping[str, str]:
    return {"TASKSERVICE_IMPORT_PATH": str(JOBS), "TASKSERVICE_FUNCTIONS": "cli_jobs.*"}


@pytest.fixture
def task(service: ServiceProcess, tmp_path: Path) -> Iterator[str]:
    """A task that talks, and waits for files in `tmp_path` in between."""
    arguments = {"folder": str(tmp_path), "words": ["one", "two"]}
    body = hourly(id="talk", func_path="cli_jobs.talk", func_args=arguments, max_instances=5)
    service.send("POST", "/task-manage/", 201, json=body)
    yield "talk"
    service.send("DELETE", "/task-manage/talk", 204)


@pytest.fixture
def other(service: ServiceProcess) -> Iterator[str]:
    """A task that takes any arguments, and ends at once."""
    body = hourly(id="take", func_path="cli_jobs.take", func_args={})
    service.send("POST", "/task-manage/", 201, json=body)
    yield "take"
    service.send("DELETE", "/task-manage/take", 204)


@pytest.fixture
def failing(service: ServiceProcess) -> Iterator[str]:
    """A task that fails."""
    body = hourly(id="fail", func_path="cli_jobs.fail", func_args={"reason": "R" * 100})
    service.send("POST", "/task-manage/", 201, json=body)
    yield "fail"
    service.send("DELETE", "/task-manage/fail", 204)


class Following:
    """A command that runs, and the lines that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        """The next line."""
        return self._lines.get(timeout=LIMIT)

    def end(self, signal_number: int | None = None) -> tuple[int, list[str], str]:
        """Exit status, the lines left and standard error, once it has ended."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        status = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        left = [self._lines.get() for _ in range(self._lines.qsize())]
        assert self.process.stderr
        return status, left, self.process.stderr.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@contextmanager
def sigint(handler: signal.Handlers | Callable[..., Any]) -> Iterator[None]:
    """What SIGINT does to this process and, by inheritance, to a command that it starts."""
    before = signal.signal(signal.SIGINT, handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """As a script starts a command in the background: with SIGINT ignored."""
    with sigint(signal.SIG_IGN):
        yield


@pytest.fixture
def follow(cli: Cli) -> Iterator[Any]:
    """Start a command that goes on, as from a terminal; the test's end ends it."""
    started = []

    def start(*arguments: str) -> Following:
        # What is ignored stays so in the command: the suite itself may be in the background.
        with sigint(signal.default_int_handler):
            started.append(Following(cli.start(*arguments, PYTHONUNBUFFERED="")))
        return started[-1]

    yield start
    for each in started:
        each.close()


def ended(service: ServiceProcess, task_id: str, log_id: str) -> dict[str, Any]:
    """An execution that has ended."""

    def look() -> dict[str, Any] | None:
        row: dict[str, Any] = service.get(f"/task-manage/{task_id}/logs/{log_id}")
        return None if row["status"] == "running" else row

    return wait_for("the execution ends", look)


def test_trigger_prints_the_id(cli: Cli, service: ServiceProcess, other: str) -> None:
    log_id = cli.ok("trigger", other).strip()
    assert ended(service, other, log_id)["result"] == '[null, "NoneType", null]'
    row = json.loads(cli.ok("trigger", other, "--output", "json"))
    assert (row["task_id"], row["triggered_by"]) == (other, "anonymous")
    ended(service, other, row["id"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1.5", -1.5),
        ('"3"', "3"),
        ("'it''s'", "it's"),
        ("yes", True),
        ("", None),
        ("null", None),
        ("05", "05"),
        ("a=b c", "a=b c"),
        ("每天", "每天"),
        ('[1, {"a": null}]', [1, {"a": None}]),
        ('{"k": "v"}', {"k": "v"}),
    ],
)
def test_an_argument_is_what_a_task_file_would_make_of_it(
    cli: Cli, other: str, text: str, value: object
) -> None:
    out = cli.ok("trigger", other, "--arg", f"given={text}", "--arg", "other=2", "--wait")
    result = out.splitlines()[-1].partition(": ")[2]
    assert json.loads(result) == [value, type(value).__name__, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--arg", "given"],
        ["--arg", "=3"],
        ["--arg", "a=1", "--arg", "a=2"],
        ["--arg", "given=[draft] text"],
        ["--arg", "given='"],
        ["--arg", "given=99999999999999999999"],
    ],
)
def test_an_argument_that_is_none_is_wrong_usage(
    cli: Cli, other: str, arguments: list[str]
) -> None:
    status, out, err = cli.run("trigger", other, *arguments)
    assert (status, out) == (64, "")
    assert "Invalid value for '--arg'" in err


def test_an_argument_that_the_function_does_not_take_is_a_fault(cli: Cli, other: str) -> None:
    status, _, err = cli.run("trigger", other, "--arg", "frob=1")
    assert status == 1 and err.startswith("taskservice: func_args.frob: ")


def test_wait_shows_the_output_and_says_how_it_ended(cli: Cli, task: str, tmp_path: Path) -> None:
    for word in ("one", "two"):
        (tmp_path / word).touch()
    log_id, one, two, last = cli.ok("trigger", task, "--wait").splitlines()
    assert (one, two) == ("one", "two")
    assert f" {log_id} completed after " in last and last.endswith(': "done"')
    row = json.loads(cli.ok("trigger", task, "--wait", "--output", "json"))
    assert (row["status"], row["output"]) == ("completed", "one\ntwo\n")


def test_wait_for_what_fails_is_a_fault(cli: Cli, failing: str) -> None:
    status, out, err = cli.run("trigger", failing, "--wait")
    assert (status, err) == (1, "")
    _, half, last = out.splitlines()
    assert half == "half a line"
    assert " failed after " in last and f": raised: ValueError: {'R' * 100}" in last


@pytest.mark.usefixtures("in_the_background")
def test_an_interrupted_wait_says_that_the_execution_goes_on(
    follow: Any, service: ServiceProcess, task: str, tmp_path: Path
) -> None:
    waiting = follow("trigger", task, "--wait")
    log_id = waiting.line()
    assert waiting.line() == "one"
    status, left, err = waiting.end(signal.SIGINT)
    assert (status, left) == (130, [])
    assert err == f"it goes on; to stop it: taskservice cancel {task} {log_id}\n"
    assert service.get(f"/task-manage/{task}/logs/{log_id}")["status"] == "running"
    for word in ("one", "two"):
        (tmp_path / word).touch()
    ended(service, task, log_id)


def test_cancel_ends_a_running_execution(
    cli: Cli, service: ServiceProcess, task: str, tmp_path: Path
) -> None:
    log_id = cli.ok("trigger", task).strip()
    assert cli.ok("cancel", task, log_id) == f"{log_id}: cancelled\n"
    status, _, err = cli.run("cancel", task, log_id)
    assert (status, err) == (1, "taskservice: the execution has ended: it is cancelled\n")
    second = cli.ok("trigger", task).strip()
    row = json.loads(cli.ok("cancel", task, second, "--output", "json"))
    assert (row["id"], row["status"]) == (second, "cancelled")
    for word in ("one", "two"):
        (tmp_path / word).touch()


def test_logs_list_the_newest_first(
    cli: Cli, service: ServiceProcess, other: str, failing: str
) -> None:
    assert cli.run("logs", other) == (0, "", "no execution\n")
    first, second, third = (cli.ok("trigger", other, "--wait").split()[0] for _ in range(3))
    heading, *rows = cli.ok("logs", other, TZ="Asia/Kolkata").splitlines()
    assert heading.split() == ["EXECUTION", "STARTED", "STATUS", "TOOK", "BY", "RESULT"]
    assert [row.split()[0] for row in rows] == [third, second, first]
    for part in ("+05:30", "completed", "anonymous", '"NoneType"'):
        assert part in rows[0]
    assert re.search(r" \d+\.\d s ", rows[0])
    page = service.get(f"/task-manage/{other}/logs", size=2)
    assert json.loads(cli.ok("logs", other, "--limit", "2", "-o", "json")) == page
    assert cli.run("logs", other, "--status", "failed").err == "no execution\n"
    assert cli.run("logs", other, "--until", "1h").err == "no execution\n"
    assert len(cli.ok("logs", other, "--since", "1h").splitlines()) == 4
    cli.run("trigger", failing, "--wait")
    assert "R" * 100 in cli.ok("logs", failing), "what is piped is whole"


def test_on_a_terminal_a_long_result_is_shortened(cli: Cli, failing: str) -> None:
    status, shown = cli.on_terminal("trigger", failing, "--wait")
    assert status == 1
    assert "\x1b[31mfailed" in shown and "RRR…" in shown
    status, shown = cli.on_terminal("trigger", failing, "--wait", NO_COLOR="1")
    assert (status, "\x1b[31m" in shown) == (1, False)
    status, shown = cli.on_terminal("logs", failing)
    assert (status, shown.count("…")) == (0, 2)
    assert "EXECUTION" in shown and "TOOK" not in shown, "there is no room for all columns"


def test_one_execution_with_its_output(cli: Cli, service: ServiceProcess, failing: str) -> None:
    log_id = cli.run("trigger", failing, "--wait").out.splitlines()[0]
    head, output = cli.ok("logs", failing, log_id).split("\n\n")
    assert output == "half a line\n"
    rows = dict(line.split(None, 1) for line in head.splitlines())
    assert (rows["execution"], rows["task"], rows["status"]) == (log_id, failing, "failed")
    assert (rows["scheduled"], rows["attempt"], rows["result"]) == ("-", "1", "-")
    assert rows["error"].startswith("raised: ValueError")
    row = service.get(f"/task-manage/{failing}/logs/{log_id}")
    assert json.loads(cli.ok("logs", failing, log_id, "--output", "json")) == row
    status, _, err = cli.run("logs", failing, "nothing")
    assert (status, err) == (1, "taskservice: task 'fail' has no execution 'nothing'\n")


def test_following_one_execution_prints_what_it_prints(
    cli: Cli, follow: Any, task: str, tmp_path: Path
) -> None:
    log_id = cli.ok("trigger", task).strip()
    following = follow("logs", task, log_id, "--follow")
    assert following.line().endswith(f" {log_id} running by anonymous")
    assert following.line() == "one"
    (tmp_path / "one").touch()
    assert following.line() == "two"
    (tmp_path / "two").touch()
    assert f" {log_id} completed after " in following.line()
    assert following.end() == (0, [], "")
    # One that has ended is shown as without --follow.
    assert cli.ok("logs", task, log_id, "-f").startswith("execution  ")


def test_following_a_task_tells_of_its_executions_as_they_come(
    cli: Cli, follow: Any, service: ServiceProcess, task: str, tmp_path: Path
) -> None:
    (tmp_path / "two").touch()
    first = cli.ok("trigger", task).strip()
    following = follow("logs", task, "--follow")
    assert following.line().endswith(f" {first} running by anonymous")
    assert following.line() == "one"
    second = cli.ok("trigger", task).strip()
    assert following.line().endswith(f" {second} running by anonymous")
    assert following.line() == "one"
    (tmp_path / "one").touch()
    told: list[str] = []
    while sum(" completed after " in line for line in told) < 2:
        told.append(following.line())
    # Who speaks is said where it is another than before.
    speaking = second
    for line in told:
        if said := re.match(r"==> (\S+) <==$", line):
            assert said[1] != speaking
            speaking = said[1]
        elif " completed after " in line:
            assert line.split()[2] == speaking
    assert told.count("two") == 2
    assert following.end(signal.SIGINT)[::2] == (0, "")


def test_following_begins_with_the_last_ones_and_keeps_to_the_filter(
    cli: Cli, follow: Any, service: ServiceProcess, other: str
) -> None:
    ids = [cli.run("trigger", other, "--wait").out.splitlines()[0] for _ in range(3)]
    following = follow("logs", other, "-f", "--limit", "2", "--status", "completed")
    for log_id in ids[1:]:
        assert f" {log_id} completed after " in following.line()
    fourth = cli.ok("trigger", other).strip()
    assert f" {fourth} completed after " in following.line()
    assert following.end(signal.SIGINT) == (0, [], "")


def test_an_execution_that_leaves_the_filter_is_told_to_its_end(
    cli: Cli, follow: Any, task: str, tmp_path: Path
) -> None:
    log_id = cli.ok("trigger", task).strip()
    following = follow("logs", task, "-f", "--status", "running")
    assert following.line().endswith(f" {log_id} running by anonymous")
    assert following.line() == "one"
    for word in ("one", "two"):
        (tmp_path / word).touch()
    assert following.line() == "two"
    assert f" {log_id} completed after " in following.line()
    assert following.end(signal.SIGINT) == (0, [], "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--follow", "--output", "json"],
        ["--follow", "--until", "1h"],
        ["some-id", "--status", "failed"],
        ["some-id", "--limit", "3"],
        ["--limit", "0"],
        ["--since", "999999999d"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    cli: Cli, other: str, arguments: list[str]
) -> None:
    status, out, err = cli.run("logs", other, *arguments)
    assert (status, out) == (64, "")
    assert "Error: " in err


def test_what_is_not_there_is_not_followed(cli: Cli, follow: Any, other: str) -> None:
    missing = follow("logs", "nobody", "--follow")
    assert missing.end() == (1, [], "taskservice: no task 'nobody'\n")
