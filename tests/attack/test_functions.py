"""What a task's function may do to the service that runs it on a thread of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import Child, ServiceProcess, wait_for
from tests.acceptance.warm import WarmService

MODULE = """
import asyncio, multiprocessing, os, sys, time
from pathlib import Path

def note(path):
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, b"x")
    os.close(descriptor)

def note_and_wait(path, gate):
    note(path)
    while not os.path.exists(gate):
        time.sleep(0.01)

def twin(path):
    if os.fork() == 0:
        note(path)
        return "the copy's"
    return "the service's"

def twin_that_fails():
    if os.fork() == 0:
        raise ValueError("in the copy")
    return "the service's"

async def later_twin(path):
    if os.fork() == 0:
        note(path)
        await asyncio.sleep(0)
        note(path)
    return "the service's"

def statuses():
    found = []
    for how in (lambda: sys.exit(3), lambda: sys.exit(), lambda: 1 / 0, lambda: None):
        copy = os.fork()
        if copy == 0:
            return how()
        found.append(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]))
    return found

def leave_copy(path):
    copy = os.fork()
    if copy == 0:
        while True:
            time.sleep(600)
    Path(path).write_text(str(copy))

def note_and_sleep(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

def terminate_copies():
    copies = [multiprocessing.Process(target=time.sleep, args=(600,)) for _ in range(3)]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.terminate()
        copy.join(30)
    return [copy.exitcode for copy in copies]

def close_streams():
    os.close(1)
    os.close(2)
    raise ValueError("closed them")

def redirect(path):
    sys.stdout = open(path, "w")

def say():
    print("said")

async def change_loop():
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.set_exception_handler(None)
    loop.set_task_factory(None)
    await loop.shutdown_default_executor()

async def say_later():
    loop = asyncio.get_running_loop()
    assert not loop.get_debug() and loop.get_task_factory() is not None
    return await asyncio.to_thread(lambda: "said later")

def change_folder(path):
    os.chdir(path)

def classes():
    class Meta(type):
        def __getattribute__(cls, name): raise SystemExit(name)

    class Text(str):
        def __format__(self, how): raise KeyboardInterrupt
        __bool__ = __len__ = __str__ = encode = lambda self: 1 / 0

    class Nasty(BaseException, metaclass=Meta):
        @property
        def __class__(self): raise SystemExit("no class")
        __traceback__ = __cause__ = __context__ = __notes__ = __class__
        def __str__(self): return Text("text")

    class Notes(Exception):
        @property
        def __notes__(self): raise KeyboardInterrupt

    class Returned(dict, metaclass=Meta):
        def items(self): raise GeneratorExit
        __iter__ = __str__ = __repr__ = keys = items
    return Nasty, Notes, Returned

def nasty(kind):
    Nasty, Notes, Returned = classes()
    if kind == "raises":
        raise Nasty
    if kind == "notes":
        raise Notes("noted")
    if kind == "returns":
        return Returned(a=1)
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "generator": GeneratorExit,
           "cancelled": asyncio.CancelledError, "stop": StopIteration}[kind]

async def nasty_later(kind):
    await asyncio.sleep(0)
    return nasty(kind)
"""


@pytest.fixture
def service(sqlite_tables: Path, tmp_path: Path) -> Iterator[ServiceProcess]:
    file = tmp_path / "taskservice.db"
    shutil.copy(sqlite_tables, file)
    with started(f"sqlite+aiosqlite:///{file}", tmp_path) as running:
        yield running


@pytest.fixture
def service_on_each(empty_url: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    with started(empty_url, tmp_path) as running:
        yield running


def started(url: str, tmp_path: Path) -> ServiceProcess:
    """A service, to be entered, whose tasks may call what is in `MODULE`."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "hostile.py").write_text(MODULE)
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    environ = {
        "TASKSERVICE_FUNCTIONS": "hostile.*",
        "TASKSERVICE_IMPORT_PATH": str(tmp_path / "modules"),
    }
    return WarmService(url, folder, environ)


def run(service: ServiceProcess, function: str, **func_args: str) -> dict[str, Any]:
    """Run a function once, and return the execution as it ended."""
    task_id = make(service, function, **func_args)
    begun = service.send("POST", f"/task-manage/{task_id}/trigger", 202)
    return ended(service, begun)


def make(service: ServiceProcess, function: str, executor: str = "local", **func_args: str) -> str:
    body = {
        "executor": executor,
        "name": function,
        "task_type": "attack",
        "trigger_type": "interval",
        "trigger_args": {"hours": 1},
        "func_path": f"hostile.{function}",
        "func_args": func_args,
    }
    made: str = service.send("POST", "/task-manage/", 201, json=body)["id"]
    return made


def ended(service: ServiceProcess, begun: dict[str, Any]) -> dict[str, Any]:
    path = f"/task-manage/{begun['task_id']}/logs/{begun['id']}"

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = service.get(path)
        return found if found["status"] != "running" else None

    return wait_for("the execution ends", look)


def children(pid: int) -> dict[int, bytes]:
    """The processes that a process has begun and that have not ended, with their command lines."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found[int(stat.parent.name)] = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue
    return found


def copies(pid: int) -> list[int]:
    """Those of them that are its copies."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return [child for child, found in children(pid).items() if found == command]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_copy_that_comes_back_ends_at_once(service: ServiceProcess, tmp_path: Path) -> None:
    evidence, gate = tmp_path / "evidence", tmp_path / "gate"
    # What waits for its turn while a copy is made would be taken by it too.
    ids = [make(service, "note_and_wait", path=str(evidence), gate=str(gate)) for _ in range(10)]
    twins = [make(service, "twin", path=str(tmp_path / "copies")) for _ in range(10)]
    begun = []
    for task_id, twin in zip(ids, twins, strict=True):
        for each in (task_id, twin):
            begun.append(service.send("POST", f"/task-manage/{each}/trigger", 202))
    gate.touch()
    for one in begun:
        found = ended(service, one)
        result = '"the service\'s"' if one["task_id"] in twins else "null"
        assert (found["status"], found["result"]) == ("completed", result)
    assert evidence.read_text() == "x" * 10
    noted = tmp_path / "copies"
    wait_for("each copy ran on from its fork", lambda: noted.read_text() == "x" * 10)
    wait_for("no copy is left", lambda: not copies(service.process.pid))


def test_copies_that_raise_or_wait_end_too(service: ServiceProcess, tmp_path: Path) -> None:
    assert run(service, "twin_that_fails")["result"] == '"the service\'s"'
    noted = tmp_path / "copies"
    assert run(service, "later_twin", path=str(noted))["result"] == '"the service\'s"'
    wait_for("the copy ran until it waited", noted.exists)
    wait_for("no copy is left", lambda: not copies(service.process.pid))
    assert noted.read_text() == "x"
    assert run(service, "statuses")["result"] == "[3, 0, 1, 0]"


def test_a_copy_that_lives_on_keeps_nothing_of_the_service(
    service_on_each: ServiceProcess, tmp_path: Path
) -> None:
    service = service_on_each
    noted = tmp_path / "pid"
    assert run(service, "leave_copy", path=str(noted))["status"] == "completed"
    copy = int(noted.read_text())
    try:
        service.kill()
        # The same port and the same database, whose lock it had.
        service.start()
        wait_for("it schedules", lambda: service.get("/health/ready")["scheduler"] == "ok")
        assert run(service, "statuses")["status"] == "completed"
        os.kill(copy, 0)
    finally:
        os.kill(copy, signal.SIGKILL)


def test_no_worker_lives_on_by_a_copy(service: ServiceProcess, tmp_path: Path) -> None:
    worker, copy = tmp_path / "worker", tmp_path / "copy"
    sleeper = make(service, "note_and_sleep", executor="process", path=str(worker))
    service.send("POST", f"/task-manage/{sleeper}/trigger", 202)
    wait_for("the worker runs", lambda: worker.exists() and worker.read_text())
    left = make(service, "leave_copy", path=str(copy))
    importing = [
        child for child, command in children(service.process.pid).items()
        if b"import_process" in command
    ]  # fmt: skip
    assert importing
    ended(service, service.send("POST", f"/task-manage/{left}/trigger", 202))
    try:
        service.kill()
        wait_for("the worker is gone", lambda: not is_alive(int(worker.read_text())))
        wait_for("what imports is gone", lambda: not any(map(is_alive, importing)))
    finally:
        os.kill(int(copy.read_text()), signal.SIGKILL)


def test_a_signal_to_a_copy_does_not_reach_the_service(service: ServiceProcess) -> None:
    assert run(service, "terminate_copies")["result"] == "[-15, -15, -15]"
    assert service.get("/health/ready")
    assert run(service, "terminate_copies")["result"] == "[-15, -15, -15]"


class LoggedService(ServiceProcess):
    """A service whose standard error goes to a file."""

    log: Path

    def _launch(self, environ: Mapping[str, str]) -> Child:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "taskservice", "run"], env=environ, stderr=log
            )


def test_the_log_goes_on_without_the_standard_streams(tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(MODULE)
    (tmp_path / "tasks.d").mkdir()
    environ = {
        "TASKSERVICE_FUNCTIONS": "hostile.*",
        "TASKSERVICE_IMPORT_PATH": str(tmp_path),
    }
    url = f"sqlite+aiosqlite:///{tmp_path}/taskservice.db"
    service = LoggedService(url, tmp_path / "tasks.d", environ)
    service.log = tmp_path / "log"
    with service:
        for _ in range(2):
            failed = run(service, "close_streams")
            assert failed["status"] == "failed"
        wait_for("the log tells of it", lambda: failed["id"] in service.log.read_text())


def test_streams_and_loops_are_as_they_were(service: ServiceProcess, tmp_path: Path) -> None:
    assert run(service, "redirect", path=str(tmp_path / "elsewhere"))["status"] == "completed"
    assert run(service, "say")["output"] == "said\n"
    assert run(service, "change_loop")["status"] == "completed"
    assert run(service, "say_later")["result"] == '"said later"'


KINDS = ["raises", "notes", "returns", "exit", "interrupt", "generator", "cancelled", "stop"]


@pytest.mark.parametrize("function", ["nasty", "nasty_later"])
def test_nothing_that_is_raised_or_returned_keeps_its_instance(
    service: ServiceProcess, function: str
) -> None:
    for kind in KINDS:
        task_id = make(service, function, kind=kind)
        for _ in range(2):
            begun = service.send("POST", f"/task-manage/{task_id}/trigger", 202)
            found = ended(service, begun)
            assert found["status"] == ("completed" if kind == "returns" else "failed"), kind


def test_a_changed_working_folder(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "hostile.py").write_text(MODULE)
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    url = empty_url
    if url.startswith("sqlite"):
        url = "sqlite+aiosqlite:///taskservice.db"
    environ = {
        "TASKSERVICE_FUNCTIONS": "hostile.*",
        "TASKSERVICE_IMPORT_PATH": ".",
        "TASKSERVICE_TASKS_DIR": "tasks.d",
    }
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        service = WarmService(url, folder, environ)
        service.start()
    finally:
        os.chdir(before)
    try:
        elsewhere = str(tmp_path / "elsewhere")
        assert run(service, "change_folder", path=elsewhere)["status"] == "completed"
        service.write(
            "saved.yaml",
            "name: s\ntask_type: t\ntrigger_type: interval\ntrigger_args: {hours: 1}\n"
            "func_path: hostile.statuses\n",
        )
        wait_for("the save is live", lambda: service.task("saved"))
        assert service.send("POST", "/sync")["errors"] == []
        assert list((tmp_path / "elsewhere").iterdir()) == []
    finally:
        service.kill()
        service.http.close()
