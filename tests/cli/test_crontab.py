"""`taskservice import-crontab`, from a crontab to commands that run."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from taskservice import examples_shell
from taskservice.engine.functions import Functions
from taskservice.examples_shell import CommandFailed, run_command
from taskservice.settings import Settings
from taskservice.sync.text.reader import read_file
from tests.commands import result
from tests.test_cli import CHECKOUT, LIMIT, Running, running

ALLOWED = {"TASKSERVICE_FUNCTIONS": "taskservice.examples_shell.*"}
CRONTAB = """\
MAILTO=root
GREETING=hello
# Says hello
0 9 * * 1-5  echo $GREETING; cat; env%from the crontab
@daily       echo going; exit 3
@hourly      echo $$ > {folder}/pid; sleep 1000; echo over
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a crontab."""
    (tmp_path / "crontab").write_text(CRONTAB.format(folder=tmp_path))
    return tmp_path


def files(output: str) -> dict[str, str]:
    """The texts that were printed, by path."""
    blocks = [block.partition("\n") for block in ("\n" + output).split("\n# ")[1:]]
    return {path: text.removesuffix("\n") + "\n" for path, _, text in blocks}


def test_the_files_are_printed_and_nothing_is_written(folder: Path) -> None:
    status, output, errors = result(folder, "import-crontab", "crontab")
    assert (status, errors) == (
        0, "crontab:1:1: MAILTO is ignored: output is kept with each execution (note)\n"
    )  # fmt: skip
    assert not (folder / "tasks.d").exists()
    printed = files(output)
    assert list(printed) == [
        "tasks.d/echo-greeting-cat-env.yaml",
        "tasks.d/echo-going-exit-3.yaml",
        "tasks.d/echo-pid-sleep-1000-echo-over.yaml",
    ]
    for path, text in printed.items():
        assert read_file(path, text.encode()).faults == ()


def test_what_is_written_is_valid_and_is_not_written_over(folder: Path) -> None:
    arguments = ["import-crontab", "crontab", "--write", "--directory", "jobs/cron"]
    status, output, _ = result(folder, *arguments)
    assert status == 0
    written = {path: (folder / path).read_text() for path in output.splitlines()}
    printed = files(result(folder, *arguments[:2], *arguments[3:])[1])
    assert written == printed
    valid = (0, "", "3 tasks in 3 files: no faults\n")
    assert result(folder, "validate", "jobs", **ALLOWED) == valid
    status, output, _ = result(folder, "validate", "jobs")
    assert (status, output.count("not among the functions that tasks may call")) == (1, 3)

    first, second, third = written
    (folder / first).write_text("# mine\n")
    (folder / second).rename(folder / "jobs" / "cron" / "moved.yaml")
    (folder / "jobs" / "cron" / "moved.yaml").write_text(
        "tasks:\n  echo-going-exit-3:\n    " + written[second].replace("\n", "\n    ").rstrip(" ")
    )
    (folder / third).unlink()
    status, output, errors = result(folder, *arguments)
    assert (status, output.splitlines()) == (1, [third])
    assert errors.splitlines()[1:] == [
        "crontab:4:1: there is a file for 'echo-greeting-cat-env' in jobs/cron already",
        "crontab:5:1: task 'echo-going-exit-3' is declared in jobs/cron/moved.yaml already",
    ]
    assert (folder / first).read_text() == "# mine\n"
    assert (folder / third).read_text() == written[third]


def test_a_file_that_can_not_be_written_is_a_fault(folder: Path) -> None:
    (folder / "file").write_text("")
    status, output, errors = result(
        folder, "import-crontab", "crontab", "--write", "--directory", "file/below"
    )
    assert (status, output) == (1, "")
    assert "file/below/echo-greeting-cat-env.yaml: can't be written: Not a directory\n" in errors


def test_a_line_that_can_not_be_taken_stops_no_other(folder: Path) -> None:
    (folder / "crontab").write_bytes(b"@reboot a\n@daily b\n61 * * * * c\n@daily \xff\n@hourly d")
    for more in ([], ["--write"]):
        status, output, errors = result(folder, "import-crontab", "crontab", *more)
        assert (status, errors.splitlines()) == (
            1,
            [
                "crontab:1:1: @reboot is no time that could be scheduled; give five fields or "
                "@daily, say",
                "crontab:3:1: minute: '61' is not allowed; allowed are 0 to 59",
                "crontab:4:8: the line is not UTF-8",
            ],
        )
        told = output.splitlines() if more else list(files(output))
        assert told == ["tasks.d/b.yaml", "tasks.d/d.yaml"]
    assert sorted(path.name for path in (folder / "tasks.d").iterdir()) == ["b.yaml", "d.yaml"]


def test_standard_input_and_a_user_column(folder: Path) -> None:
    (folder / "system").write_text("17 * * * * root run-parts /etc/cron.hourly\n")
    status, output, errors = result(folder, "import-crontab", "system", "--user-column")
    assert (status, "command: run-parts /etc/cron.hourly" in output) == (0, True)
    assert "system:1:12: the user 'root' is not kept" in errors
    piped = subprocess.run(
        [sys.executable, "-m", "taskservice", "import-crontab", "-", "--user-column"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        input=(folder / "system").read_text(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (piped.stdout, piped.stderr) == (output, errors.replace("system", "-"))


@pytest.mark.parametrize("arguments", [[], ["nope"], ["."], ["crontab", "--frob"]])
def test_wrong_usage_is_64(folder: Path, arguments: list[str]) -> None:
    status, output, _ = result(folder, "import-crontab", *arguments)
    assert (status, output) == (64, "")


def ended(service: Running, task_id: str) -> dict[str, Any]:
    """The task's execution, once it has ended, with its output."""
    limit = time.monotonic() + LIMIT
    while True:
        (row,) = service.http.get(f"/task-manage/{task_id}/logs").json()["items"]
        if row["status"] != "running":
            return dict(service.http.get(f"/task-manage/{task_id}/logs/{row['id']}").json())
        assert time.monotonic() < limit
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_commands_run_fail_and_are_killed(folder: Path) -> None:
    assert result(folder, "import-crontab", "crontab", "--write")[0] == 0
    with running(folder, TASKSERVICE_API_TOKENS="ann:admin:very-secret", **ALLOWED) as service:
        service.http.headers["Authorization"] = "Bearer very-secret"
        ids = ["echo-greeting-cat-env", "echo-going-exit-3", "echo-pid-sleep-1000-echo-over"]
        hello, failing, sleeping = ids
        service.http.put(f"/task-manage/{sleeping}", json={"timeout": 2}).raise_for_status()
        for task_id in ids:
            service.http.post(f"/task-manage/{task_id}/trigger").raise_for_status()
        row = ended(service, hello)
        assert row["status"] == "completed", row
        assert row["output"].startswith("hello\nfrom the crontab\n")
        assert "GREETING=hello" in row["output"]
        # The command has cron's variables, none of the service's.
        assert "very-secret" not in row["output"] and "TASKSERVICE" not in row["output"]
        row = ended(service, failing)
        assert (row["status"], row["output"]) == ("failed", "going\n")
        assert "the command ended with exit status 3" in row["error"]
        row = ended(service, sleeping)
        assert (row["status"], row["error"].partition(":")[0]) == ("failed", "timed out")
        pid = int((folder / "pid").read_text())
        limit = time.monotonic() + LIMIT
        while alive(pid):
            assert time.monotonic() < limit
            time.sleep(0.05)
        service.process.terminate()
        assert service.end()[0] == 0


async def test_the_function_is_off_by_default() -> None:
    path = f"{examples_shell.__name__}.run_command"
    default = Functions(Settings().functions)
    (fault,) = default.path_faults(path)
    assert "not among the functions that tasks may call" in fault.reason
    assert path not in {info.func_path for info in await default.catalogue()}
    allowed = Functions([ALLOWED["TASKSERVICE_FUNCTIONS"]])
    assert allowed.faults(path, {"command": "a", "environment": {}}) == []


def test_a_command_writes_to_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run_command("cat; printf '\\377' >&2; pwd", stdin="a\n", environment={"HOME": "/usr"})
    assert capfdbinary.readouterr().out == b"a\n\xff/usr\n"
    run_command("cat; echo $0 $SHELL $A", shell="/bin/bash", environment={"A": "1"})
    assert capfdbinary.readouterr().out == b"/bin/bash /bin/bash 1\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [("exit 7", "exit status 7"), ("kill -9 $$", "signal 9"), ("no-such-command", "status 127")],
)
def test_a_command_that_fails_raises(command: str, said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        run_command(command)


def test_without_a_home_it_runs_at_the_root(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.isdir", lambda _path: False)
    run_command("pwd")
    assert capfdbinary.readouterr().out == b"/\n"


def test_a_shell_that_is_not_there_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        run_command("true", shell="/no/such/shell")
