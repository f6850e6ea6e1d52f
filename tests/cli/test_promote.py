"""`taskservice promote`, with a real service, real files and a real repository."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli, read_terminal
from tests.commands import Result
from tests.web.bodies import hourly

REPORTS = """\
# What sales read.
defaults: {task_type: t, func_path: taskservice.examples.simple_task, func_args: {message: m}}
tasks:
  daily:  {name: Daily report,  trigger_type: interval, trigger_args: {hours: 24}}   # at night
  weekly: {name: Weekly report, trigger_type: interval, trigger_args: {weeks: 1}}
"""
NOTICE = """\
name: Notice
task_type: notification
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args:
  message: hello   # as agreed
"""
ANN, BEN = {"Authorization": "Bearer ann-secret"}, {"Authorization": "Bearer ben-secret"}


@pytest.fixture(scope="module")
def environ() -> Mapping[str, str]:
    return {"TASKSERVICE_API_TOKENS": "ann:admin:ann-secret,ben:admin:ben-secret"}


class House:
    """A service whose folder stands in a repository, and the command."""

    def __init__(self, cli: Cli, service: ServiceProcess) -> None:
        self.cli = cli
        self.service = service
        self.folder = service.folder
        self.top = self.folder.parent

    def git(self, *arguments: str) -> str:
        person = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
        done = subprocess.run(
            ["git", *person, *arguments], cwd=self.top, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def put(self, path: str, body: Any = None, *, by: Mapping[str, str] = ANN) -> None:
        """A request that must succeed: a PUT of the body, or else a POST."""
        method = "POST" if body is None else "PUT"
        answer = self.service.http.request(
            method, f"/task-manage/{path}", json=body, headers=dict(by)
        )
        assert answer.is_success, answer.text

    def run(self, *arguments: str, **more: str) -> Result:
        committer = {"GIT_COMMITTER_NAME": "Eve", "GIT_COMMITTER_EMAIL": "eve@example.org"}
        folder = {"TASKSERVICE_TASKS_DIR": str(self.folder), "TASKSERVICE_TOKEN": "ann-secret"}
        return self.cli.run("promote", *arguments, **(folder | committer | more))

    def ok(self, *arguments: str) -> str:
        status, out, err = self.run(*arguments)
        assert status == 0, err
        return out

    def sync(self) -> None:
        self.service.send("POST", "/sync", headers=ANN)

    def drift(self, task_id: str) -> str:
        answer = self.service.http.get(f"/task-manage/{task_id}", headers=ANN)
        drift: str = answer.json()["drift"]
        return drift


@pytest.fixture
def house(cli: Cli, service: ServiceProcess) -> House:
    """Three declared tasks without overrides in two files, committed; none of the API's own."""
    made = House(cli, service)
    for file in service.folder.iterdir():
        file.unlink()
    service.write("reports.yaml", REPORTS)
    service.write("notice.yaml", NOTICE)
    service.http.headers.clear()
    service.send("POST", "/sync?prune=true", headers=ANN)
    for task in service.send("GET", "/task-manage/?source=api", headers=ANN)["items"]:
        service.send("DELETE", f"/task-manage/{task['id']}", 204, headers=ANN)
    for task_id in ("daily", "weekly", "notice"):
        service.http.post(f"/task-manage/{task_id}/restore", headers=ANN)
        service.send("DELETE", f"/task-manage/{task_id}/overrides", headers=ANN)
    shutil.rmtree(made.top / ".git", ignore_errors=True)
    (made.top / ".gitattributes").unlink(missing_ok=True)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("add", "tasks.d")
    made.git("commit", "--quiet", "--message", "first")
    return made


def test_it_prints_a_diff_that_git_takes(house: House) -> None:
    house.put("daily?reason=INC-42", {"name": "Nightly"})
    house.put("notice", {"func_args": {"message": "late"}})
    printed = house.ok("daily", "notice")
    assert printed == (
        "--- a/notice.yaml\n+++ b/notice.yaml\n@@ -4,4 +4,4 @@\n trigger_args: {hours: 1}\n"
        " func_path: taskservice.examples.simple_task\n func_args:\n"
        "-  message: hello   # as agreed\n+  message: late   # as agreed\n"
        "--- a/reports.yaml\n+++ b/reports.yaml\n@@ -1,5 +1,5 @@\n # What sales read.\n"
        " defaults: {task_type: t, func_path: taskservice.examples.simple_task, "
        "func_args: {message: m}}\n tasks:\n"
        "-  daily:  {name: Daily report,  trigger_type: interval, trigger_args: {hours: 24}}"
        "   # at night\n"
        "+  daily:  {name: Nightly,  trigger_type: interval, trigger_args: {hours: 24}}"
        "   # at night\n"
        "   weekly: {name: Weekly report, trigger_type: interval, trigger_args: {weeks: 1}}\n"
    )
    subprocess.run(["git", "apply"], cwd=house.folder, input=printed, text=True, check=True)
    house.sync()
    assert (house.drift("daily"), house.drift("notice")) == ("in_sync", "in_sync")
    assert house.run("daily") == (0, "", "nothing to promote\n")


def test_it_writes_the_files(house: House) -> None:
    house.put("daily", {"timeout": 5})
    house.put("weekly", {"timeout": 6, "tags": ["a"]}, by=BEN)
    house.put("notice/pause")
    os.chmod(house.folder / "reports.yaml", 0o600)
    status, out, err = house.run("--all", "--write")
    assert (status, out) == (0, "")
    reports, notice = house.folder / "reports.yaml", house.folder / "notice.yaml"
    assert err == f"written: {notice} (notice)\nwritten: {reports} (daily, weekly)\n"
    assert notice.read_text() == NOTICE + "paused: true\n"
    assert reports.read_text() == REPORTS.replace("{hours: 24}", "{hours: 24}, timeout: 5").replace(
        "{weeks: 1}", "{weeks: 1}, tags: [a], timeout: 6"
    )
    assert reports.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(house.folder)) == ["notice.yaml", "reports.yaml"]
    house.sync()
    assert house.run("--all").err == "nothing to promote\n"


def test_it_commits_on_a_branch_and_leaves_the_work_tree(house: House) -> None:
    house.put("daily?reason=INC-42", {"name": "Nightly", "func_args": {"message": "n"}})
    house.put("weekly", {"timeout": 6}, by=BEN)
    house.put("daily", {"timeout": 7}, by=BEN)
    (house.folder / "draft.txt").write_text("mine")
    (house.folder / "notice.yaml").write_text(NOTICE + "# not committed\n")
    house.git("add", "tasks.d/draft.txt")
    before = house.git("status", "--porcelain")
    status, out, err = house.run("--all", "--branch", "promote/all", "--author-domain", "acme.org")
    assert (status, out) == (0, "")
    first, second = house.git("log", "--reverse", "--format=%h", "main..promote/all").split()
    assert err == (
        f"committed {first} on branch promote/all, by ann\n"
        f"committed {second} on branch promote/all, by ben\n"
        "next: git push origin promote/all\n"
    )
    assert house.git("status", "--porcelain") == before
    assert house.git("branch", "--show-current") == "main"

    [override] = [
        one for one in house.service.send("GET", "/task-manage/daily/overrides", headers=ANN)
        if one["field"] == "name"
    ]  # fmt: skip
    told = house.git("show", "--no-patch", "--format=%an <%ae>|%aI|%cn|%B", first)
    person, at, committer, message = told.split("|")
    assert (person, committer) == ("ann <ann@acme.org>", "Eve")
    set_at = datetime.fromisoformat(override["set_at"])
    assert datetime.fromisoformat(at) == set_at.replace(microsecond=0)
    assert message == (
        "Promote overrides of daily\n\n"
        'daily: func_args.message: "m" -> "n"\n  reason: INC-42\n'
        'daily: name: "Daily report" -> "Nightly"\n  reason: INC-42\n'
    ).rstrip("\n")
    message = house.git("show", "--no-patch", "--format=%an: %B", second)
    assert message.startswith("ben: Promote overrides of 2 tasks\n\n")
    assert "daily: timeout: null -> 7" in message and "weekly: timeout: null -> 6" in message
    changed = house.git("diff", "--stat", "main", "promote/all")
    assert "reports.yaml | 4 ++--" in changed

    status, _, err = house.run("--all", "--branch", "promote/all")
    assert status == 1 and "there is a branch 'promote/all' already" in err
    house.git("merge", "--quiet", "promote/all")
    house.sync()
    assert (house.drift("daily"), house.drift("weekly")) == ("in_sync", "in_sync")


def test_a_deletion_and_a_task_of_the_apis(house: House) -> None:
    house.service.send("DELETE", "/task-manage/weekly?reason=over", 204, headers=BEN)
    house.service.send("DELETE", "/task-manage/notice", 204, headers=ANN)
    house.service.send("POST", "/task-manage/", 201, json=hourly(id="own"), headers=ANN)
    house.ok("--all", "--api-tasks", "--branch", "b")
    changed = house.git("diff", "--name-status", "main", "b").split("\n")
    assert changed == ["D\ttasks.d/notice.yaml", "A\ttasks.d/own.yaml", "M\ttasks.d/reports.yaml"]
    messages = house.git("log", "--format=%an: %B", "main..b")
    assert "weekly: deleted\n  reason: over" in messages
    assert "own: declared by API until now" in messages
    house.ok("--all", "--api-tasks", "--write")
    assert not (house.folder / "notice.yaml").exists()
    assert "weekly" not in (house.folder / "reports.yaml").read_text()
    assert "name: 周期性任务\n" in (house.folder / "own.yaml").read_text()


def test_a_file_whose_tasks_are_all_deleted_goes(house: House) -> None:
    for task_id in ("daily", "weekly"):
        house.service.send("DELETE", f"/task-manage/{task_id}", 204, headers=ANN)
    printed = house.ok("--all")
    assert printed.startswith("--- a/reports.yaml\n+++ /dev/null\n@@ -1,5 +0,0 @@\n-# What")
    assert "/dev/null" not in house.ok("daily")


def test_a_temporary_override_is_promoted_when_its_field_is_named(house: House) -> None:
    house.put("notice/pause?until=2h")
    for arguments in (("notice",), ("--all",)):
        status, out, err = house.run(*arguments)
        assert (status, out) == (0, "")
        assert err.startswith("nothing to promote\n") is (arguments[0] == "notice")
        assert "left out: notice: paused ends by itself at 20" in err
        assert err.count("; to promote it: notice --field paused\n") == 1
    house.put("notice", {"timeout": 5})
    for arguments in (("notice",), ("--all",)):
        status, out, err = house.run(*arguments)
        assert status == 0 and "+timeout: 5" in out and "paused" not in out
        assert err.startswith("left out: notice: paused ends by itself at 20")
    assert "+paused: true" in house.ok("notice", "--field", "paused")
    assert "timeout" not in house.ok("notice", "--field", "paused")


def test_what_the_file_has_changed_since_is_pointed_out(house: House) -> None:
    house.put("notice", {"timeout": 5, "func_args": {"message": "late"}})
    house.service.write("notice.yaml", NOTICE.replace("hello", "hi"))
    house.sync()
    status, out, err = house.run("notice")
    assert status == 0 and "-  message: hi   # as agreed\n+  message: late   # as agreed" in out
    assert err == (
        "look twice: notice: func_args.message: the file has changed it since it was overridden\n"
    )


def test_on_a_terminal_it_is_coloured(house: House) -> None:
    house.put("notice", {"timeout": 5})
    ours, theirs = pty.openpty()
    variables = {"TASKSERVICE_TOKEN": "ann-secret", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-m", "taskservice", "promote", "notice"],
        env=house.cli.environ(**variables), stdout=theirs, check=False,
    )  # fmt: skip
    os.close(theirs)
    shown = read_terminal(ours).decode()
    os.close(ours)
    assert done.returncode == 0
    assert shown.startswith("\x1b[1m--- a/notice.yaml\x1b[0m\r\n")
    assert "\x1b[32m+timeout: 5\x1b[0m" in shown


def test_for_programs_it_is_json(house: House) -> None:
    house.put("notice", {"timeout": 5})
    [file] = json.loads(house.ok("notice", "--output", "json"))
    assert file.pop("diff").startswith("--- a/notice.yaml\n")
    assert file == {
        "path": "notice.yaml", "task_ids": ["notice"], "before": NOTICE,
        "after": NOTICE + "timeout: 5\n",
    }  # fmt: skip
    assert house.run("daily", "-o", "json") == (0, "[]\n", "nothing to promote\n")


def test_files_that_are_others_are_left_alone(house: House, tmp_path: Path) -> None:
    house.put("notice", {"timeout": 5})
    house.put("daily", {"timeout": 5})
    (tmp_path / "notice.yaml").write_text(NOTICE)
    (tmp_path / "reports.yaml").write_text(REPORTS + "# another\n")
    status, _, err = house.run("--all", "--write", "--folder", str(tmp_path))
    assert status == 1
    assert f"{tmp_path}/reports.yaml is not the text that the service has: nothing was" in err
    assert (tmp_path / "notice.yaml").read_text() == NOTICE
    (tmp_path / "reports.yaml").unlink()
    status, _, err = house.run("daily", "--write", "--folder", str(tmp_path))
    assert status == 1 and "is not the text that the service has" in err
    (tmp_path / "reports.yaml").mkdir()
    status, _, err = house.run("daily", "--write", "--folder", str(tmp_path))
    assert status == 1 and "can't be read: Is a directory" in err


def test_a_repository_that_has_something_else_gets_no_branch(house: House, tmp_path: Path) -> None:
    house.put("notice", {"timeout": 5})

    def fault(*arguments: str) -> str:
        status, out, err = house.run("notice", "--branch", "b", *arguments)
        assert (status, out) == (1, "")
        return err

    assert "stands in no git repository" in fault("--folder", str(tmp_path))
    assert "no folder" in fault("--folder", str(tmp_path / "absent"))
    assert "can't be the name of a branch" in house.run("notice", "--branch", "a..b").err
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "--quiet", empty], check=True)
    assert "has no commit yet" in fault("--folder", str(empty))

    house.git("rm", "--cached", "--quiet", "tasks.d/notice.yaml")
    house.git("commit", "--quiet", "--message", "not this one")
    assert "notice.yaml is not in the repository at HEAD" in fault()
    (house.folder / "notice.yaml").write_text(NOTICE + "# more\n")
    house.git("add", "tasks.d/notice.yaml")
    house.git("commit", "--quiet", "--message", "another text")
    house.service.write("notice.yaml", NOTICE)
    house.sync()
    assert "notice.yaml at HEAD is not the text that the service has" in fault()
    (house.folder / "notice.yaml").unlink()
    (house.folder / "notice.yaml").symlink_to("reports.yaml")
    house.git("add", "tasks.d/notice.yaml")
    house.git("commit", "--quiet", "--message", "a link")
    house.service.write("notice.yaml", NOTICE)
    house.sync()
    assert "notice.yaml is no regular file in the repository" in fault()
    house.git("reset", "--quiet", "--hard", "HEAD")
    assert "b" not in house.git("branch", "--format=%(refname:short)").split()

    house.service.send("POST", "/task-manage/", 201, json=hourly(id="mine"), headers=ANN)
    blob = house.git("hash-object", "-w", "tasks.d/reports.yaml")
    house.git("update-index", "--add", "--cacheinfo", f"100644,{blob},tasks.d/mine.yaml")
    house.git("commit", "--quiet", "--message", "mine")
    status, _, err = house.run("mine", "--branch", "b")
    assert status == 1 and "mine.yaml is in the repository already" in err
    nobody = {"GIT_COMMITTER_NAME": ""}
    house.put("daily", {"timeout": 5})
    assert "git var: " in house.run("daily", "--branch", "b", **nobody).err


def test_line_ends_that_git_converts_are_no_difference(house: House) -> None:
    (house.top / ".gitattributes").write_text("*.yaml text eol=crlf\n")
    (house.folder / "notice.yaml").write_bytes(NOTICE.replace("\n", "\r\n").encode())
    house.git("add", "--all", ".gitattributes", "tasks.d")
    house.git("commit", "--quiet", "--message", "windows")
    house.sync()
    house.put("notice", {"timeout": 5})
    house.ok("notice", "--branch", "b")
    assert house.git("show", "b:tasks.d/notice.yaml") == (NOTICE + "timeout: 5\n").rstrip()


def test_one_of_several_that_can_not_be_promoted_is_told_of(house: House) -> None:
    house.put("daily", {"timeout": 5})
    status, out, err = house.run("nobody", "daily")
    assert status == 1 and "timeout: 5" in out
    assert err == "taskservice: nobody: no task 'nobody'\n"
    status, out, err = house.run(*(f"nobody-{number:029}" for number in range(250)), "daily")
    assert status == 1 and "timeout: 5" in out
    assert err.count("no task 'nobody-") == 250
    status, out, err = house.run("nobody")
    assert (status, out, err) == (1, "", "taskservice: no task 'nobody'\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a task, or give --all"),
        (["a", "--all"], "name none beside them"),
        (["--all", "--field", "x"], "--field takes the name of a task"),
        (["a", "--write", "--branch", "b"], "--write or --branch"),
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str], told: str) -> None:
    status, out, err = cli.run("promote", *arguments)
    assert (status, out) == (64, "")
    assert told in " ".join(err.split())


def test_what_can_not_be_edited_is_told(house: House) -> None:
    # A neighbour at fault, that no editor of the text can follow.
    odd = "tasks:\n  odd: {name: *nowhere}\n  even:\n    " + NOTICE.replace("\n", "\n    ").rstrip()
    house.service.write("odd.yaml", odd + "\n")
    house.sync()
    house.service.send("DELETE", "/task-manage/even", 204, headers=ANN)
    house.put("daily", {"timeout": 5})
    status, out, err = house.run("even", "daily")
    assert status == 1 and "a/reports.yaml" in out
    assert err.startswith("taskservice: even: odd.yaml is written in a way that can't be edited")
