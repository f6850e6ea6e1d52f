"""`taskservice validate` as a person, a workflow and a hook run it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import read_terminal
from tests.commands import result
from tests.test_cli import CHECKOUT, command
from tests.test_cli import result as process

ONE = """\
name: One
task_type: t
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: hello}
"""
SEVERAL = """\
defaults: {task_type: t, trigger_type: cron, func_path: taskservice.examples.simple_task}
tasks:
  two: {name: Two, trigger_args: {crontab: "0 7 * * 8"}, func_args: {message: a}}
  three: {name: Three, trigger_args: {hour: 7}, func_args: {massage: a}}
  four: {name: Four, trigger_args: {hour: 7}, func_args: {message: a}}
"""
NOISY = """\
print("noise from an import")

def hello(name: str) -> None:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run in, with sound tasks and others."""
    tasks = tmp_path / "tasks.d"
    (tasks / "more").mkdir(parents=True)
    (tasks / "one.yaml").write_text(ONE)
    (tasks / "more" / "several.yaml").write_text(SEVERAL)
    (tasks / "one.yml").write_text(ONE)
    return tmp_path


FAULTS = [
    "tasks.d/more/several.yaml:3:35: trigger_args.crontab: weekday: '8' is not allowed; "
    "allowed are 0 to 7 or sun to sat",
    "tasks.d/more/several.yaml:4:49: func_args.message: the function needs this argument",
    "tasks.d/more/several.yaml:4:61: func_args.massage: the function has no such argument; "
    "did you mean 'message'?",
    "tasks.d/one.yml:1:1: task 'one' is declared in one.yaml already",
]
SUMMARY = "4 tasks in 3 files: 4 faults\n"


def ordered(output: str) -> list[str]:
    return sorted(output.splitlines())


@pytest.mark.parametrize("paths", [[], ["tasks.d"], ["tasks.d/"], ["./tasks.d"]])
def test_every_fault_of_a_folder(folder: Path, paths: list[str]) -> None:
    status, output, errors = result(folder, "validate", *paths)
    assert (status, ordered(output), errors) == (1, sorted(FAULTS), SUMMARY)


def test_a_process_says_the_same(folder: Path) -> None:
    assert process(folder, "validate") == result(folder, "validate")
    assert process(folder, "validate", "tasks.d/one.yaml") == (
        *(0, "", "1 task in 1 file: no faults\n"),
    )


def test_a_path_is_shown_as_it_was_typed(folder: Path) -> None:
    _, output, _ = result(folder / "tasks.d", "validate", "../tasks.d", "more/several.yaml")
    shown = {line.partition(":")[0] for line in output.splitlines()}
    assert shown == {"../tasks.d/more/several.yaml", "../tasks.d/one.yml", "more/several.yaml"}
    _, output, _ = result(folder / "tasks.d", "validate", ".")
    assert {line.partition(":")[0] for line in output.splitlines()} == {
        "more/several.yaml", "one.yml"
    }  # fmt: skip


def test_sound_files_and_an_empty_folder(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert result(folder, "validate", "empty") == (0, "", "0 tasks in 0 files: no faults\n")
    # Checked alone, each of two files may declare the task.
    alone = result(folder, "validate", "tasks.d/one.yaml", "tasks.d/one.yml")
    assert alone == (0, "", "2 tasks in 2 files: no faults\n")
    assert result(folder, "validate", "tasks.d/one.yaml")[2] == "1 task in 1 file: no faults\n"
    assert result(CHECKOUT, "validate")[0] == 0


def test_the_folder_of_the_environment_is_the_default(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "bad.yaml").write_text("name: [\n")
    status, output, _ = result(folder, "validate", TASKSERVICE_TASKS_DIR="other")
    assert (status, output.partition(": ")[0]) == (1, "other/bad.yaml:2:1")


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["nope"], {}),
        (["tasks.d", "nope.yaml"], {}),
        ([], {"TASKSERVICE_TASKS_DIR": "nope"}),
        (["--format", "xml"], {}),
        (["--frob"], {}),
    ],
)
def test_wrong_usage_is_64(folder: Path, arguments: list[str], variables: dict[str, str]) -> None:
    status, output, errors = result(folder, "validate", *arguments, **variables)
    assert (status, output) == (64, "")
    assert "Error" in errors


def test_a_setting_that_matters_is_read_and_no_other(folder: Path) -> None:
    status, _, errors = result(folder, "validate", TASKSERVICE_TIMEZONE="Mars")
    assert (status, errors.startswith("taskservice: TASKSERVICE_TIMEZONE is 'Mars'")) == (1, True)
    status, _, errors = result(
        folder, "validate", "tasks.d/one.yaml", TASKSERVICE_HOST="0.0.0.0", TASKSERVICE_PORT="x"
    )
    assert (status, errors) == (0, "1 task in 1 file: no faults\n")


def test_channels_are_known_by_their_variables_if_there_are_any(folder: Path) -> None:
    file = folder / "tasks.d" / "one.yaml"
    file.write_text(f"{ONE}notify: [{{to: opps}}]\n")
    found = result(folder, "validate", "tasks.d/one.yaml")
    assert found.status == 0
    found = result(folder, "validate", "tasks.d/one.yaml", TASKSERVICE_CHANNEL_OPS="planted")
    assert found.status == 1
    assert "tasks.d/one.yaml:7:1: notify: there is no channel 'opps'; did you mean" in found.out
    assert "planted" not in found.out + found.err


def test_files_that_can_not_be_read_are_faults(folder: Path) -> None:
    (folder / "tasks.d" / "nowhere.yaml").symlink_to("nothing")
    (folder / "tasks.d" / "folder.yaml").mkdir()
    _, output, errors = result(folder, "validate")
    assert "tasks.d/nowhere.yaml:1:1: is a link that points at nothing" in output.splitlines()
    assert (
        "tasks.d/folder.yaml:1:1: is a folder, where a task file was expected"
        in output.splitlines()
    )
    assert errors == "4 tasks in 3 files: 6 faults\n"
    os.mkfifo(folder / "pipe")
    status, output, _ = result(folder, "validate", "pipe")
    assert (status, output.startswith("pipe:1:1: is no regular file")) == (1, True)


def test_annotations_for_github(folder: Path) -> None:
    (folder / "tasks.d" / "a,b:c%.yaml").write_text("name: 50%\nx: &y 1\n")
    (folder / "tasks.d" / "50%.yaml").write_text("name: x")
    (folder / "tasks.d" / "nowhere.yaml").symlink_to("nothing")
    status, output, errors = result(folder, "validate", "--format", "github")
    lines = output.splitlines()
    assert (status, errors) == (1, "6 tasks in 5 files: 8 faults\n")
    assert all(line.startswith("::error file=tasks.d/") for line in lines)
    assert (
        "::error file=tasks.d/a%2Cb%3Ac%25.yaml,line=2,col=4::x: anchors (&name) are not taken: "
        "what tasks share stands under 'defaults'"
    ) in lines
    assert (
        "::error file=tasks.d/50%25.yaml,line=1,col=1::the file's name gives the id '50%25': "
        "an id has no '%25': it stands in URLs"
    ) in lines
    assert (
        "::error file=tasks.d/nowhere.yaml,line=1,col=1::is a link that points at nothing" in lines
    )


def test_json_for_programs(folder: Path) -> None:
    status, output, errors = result(folder, "validate", "--format", "json")
    found = json.loads(output)
    assert (status, errors) == (1, SUMMARY)
    assert (found["files"], found["tasks"], len(found["faults"])) == (3, 4, 4)
    assert found["faults"][0] == {
        "path": "tasks.d/more/several.yaml",
        "line": 3,
        "column": 35,
        "task_id": "two",
        "field": "trigger_args.crontab",
        "reason": "weekday: '8' is not allowed; allowed are 0 to 7 or sun to sat",
    }
    for option in (("--format", "json"), ("--output", "json"), ("-o", "json")):
        _, output, _ = result(folder, "validate", *option, "tasks.d/one.yaml")
        assert json.loads(output) == {"files": 1, "tasks": 1, "faults": []}


def test_functions_are_allowed_imported_and_asked_for_their_arguments(folder: Path) -> None:
    (folder / "modules").mkdir()
    (folder / "modules" / "noisy_module.py").write_text(NOISY)
    task = ONE.replace("taskservice.examples.simple_task", "noisy_module.hello")
    (folder / "mine.yaml").write_text(task)
    arguments = ["validate", "mine.yaml", "--format", "json"]

    def reasons(*more: str, **variables: str) -> dict[str, str]:
        _, output, _ = process(folder, *arguments, *more, **variables)
        return {fault["field"]: fault["reason"] for fault in json.loads(output)["faults"]}

    assert "TASKSERVICE_FUNCTIONS allows taskservice.examples.*" in reasons()["func_path"]
    allowed = {"TASKSERVICE_FUNCTIONS": "noisy_module.*"}
    assert "can't be imported" in reasons(**allowed)["func_path"]
    installed = {**allowed, "TASKSERVICE_IMPORT_PATH": "modules"}
    # What the module prints would be no JSON: it goes to standard error.
    assert reasons(**installed).keys() == {"func_args.message", "func_args.name"}
    flags = ("--functions", "noisy_module.*", "--import-path", "modules")
    assert reasons(*flags).keys() == {"func_args.message", "func_args.name"}
    assert "noise" in process(folder, *arguments, *flags)[2]


def test_without_imports_only_the_path_is_looked_at(folder: Path) -> None:
    paths = ["jobs.daily", "jobs:daily", "other.daily", "jobs.__x", "no path"]
    for path in paths:
        (folder / f"{paths.index(path)}.yaml").write_text(
            ONE.replace("taskservice.examples.simple_task", f'"{path}"')
        )
    files = [f"{number}.yaml" for number in range(len(paths))]
    status, output, _ = result(
        folder, "validate", "--no-import", *files, TASKSERVICE_FUNCTIONS="jobs.*"
    )
    assert status == 1
    assert [line.split(":")[0] for line in output.splitlines()] == ["2.yaml", "3.yaml", "4.yaml"]
    assert "not among the functions that tasks may call" in output.splitlines()[0]


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(folder: Path) -> None:
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TASKSERVICE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "taskservice", "validate", "tasks.d/one.yaml"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=follower,
    ) as process:
        os.close(follower)
        drawn = read_terminal(leader)
        os.close(leader)
        assert process.stdout
        assert process.stdout.read() == b""
    assert process.returncode == 0
    assert b"Checking tasks.d/one.yaml" in drawn
    assert b"1 task in 1 file: no faults" in drawn


def test_ten_thousand_tasks_take_seconds(tmp_path: Path) -> None:
    """Ten seconds are promised for two idle cores; the limit here is on what it computes."""
    tasks = tmp_path / "tasks.d"
    tasks.mkdir()
    for number in range(1000):
        several = "".join(
            f"  task-{number}-{one}: {{name: Task, trigger_args: {{crontab: '{one} 7 * * *'}}}}\n"
            for one in range(10)
        )
        (tasks / f"{number}.yaml").write_text(
            "defaults:\n  task_type: t\n  trigger_type: cron\n"
            "  func_path: taskservice.examples.simple_task\n  func_args: {message: a}\n"
            f"tasks:\n{several}"
        )
    with command(tmp_path, "validate") as process:
        assert process.stdout and process.stderr
        assert process.stderr.read() == "10000 tasks in 1000 files: no faults\n"
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < 10
