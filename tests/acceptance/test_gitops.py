"""The walk through `docs/gitops.md`: each of its steps, as it stands there, with a real git."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.acceptance.process import free_port, wait_for
from tests.test_documents import TOP

DOCUMENT = (TOP / "docs" / "gitops.md").read_text()
LIMIT = 90.0


def step(name: str) -> str:
    """The commands of a step, by its mark in the document."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None, name
    return found[1]


class Walk:
    """A folder in which the steps are taken, and the service that the document has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        commands = folder / "bin"
        commands.mkdir()
        (commands / "taskservice").write_text(
            f'#!/bin/sh\nPYTHONPATH="{TOP}" exec "{sys.executable}" -m taskservice "$@"\n'
        )
        (commands / "taskservice").chmod(0o755)
        person = {"NAME": "Ann", "EMAIL": "ann@example.org"}
        # Not measured either: what the commands do is measured where they have tests of their own.
        others = ("TASKSERVICE", "COVERAGE")
        self._environ = {
            **{name: value for name, value in os.environ.items()
               if not any(other in name for other in others)},
            **{f"GIT_{who}_{what}": told for who in ("AUTHOR", "COMMITTER")
               for what, told in person.items()},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "TASKSERVICE_PORT": str(self.port),
            "TASKSERVICE_SERVER": f"http://127.0.0.1:{self.port}",
        }  # fmt: skip
        self._service: subprocess.Popen[bytes] | None = None

    def type(self, commands: str, **variables: str) -> str:
        """What the commands print; the first of them that fails ends them, and the test."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace(":8000", f":{self.port}")],
            cwd=self.folder, env={**self._environ, **variables}, timeout=LIMIT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def begin(self, commands: str, **variables: str) -> None:
        """Start the service as the document does."""
        *settings, last = commands.splitlines()
        assert last == "taskservice run"
        script = "\n".join([*settings, f"exec {last}"])
        self._service = subprocess.Popen(
            ["bash", "-euc", script], cwd=self.folder, env={**self._environ, **variables}
        )

    def run(self, commands: str, database_url: str) -> None:
        """The same, and wait until it is ready."""
        self.begin(commands, TASKSERVICE_DATABASE_URL=database_url)
        wait_for("the ten tasks are there", lambda: len(self.tasks()) == 10, seconds=30)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """All tasks, by id; none while nobody answers."""
        try:
            answer = self.http.get("/task-manage", params={"size": 1000})
        except httpx.TransportError:
            return {}
        return {task["id"]: task for task in answer.json()["items"]}

    def task(self, task_id: str) -> dict[str, Any]:
        return self.tasks()[task_id]

    def get(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()

    def end(self) -> None:
        self.http.close()
        if self._service:
            self._service.kill()
            self._service.wait(10)


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[Walk]:
    """The walk after its set-up, without a service."""
    made = Walk(tmp_path)
    try:
        made.type(step("set up"))
        yield made
    finally:
        made.end()


@pytest.fixture
def walk(database_url: str, set_up: Walk) -> Walk:
    """The walk after its set-up, with the service running."""
    set_up.run(step("run"), database_url)
    return set_up


def kept(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What must not move where nothing changes."""
    return {
        task_id: (task["next_run_time"], task["update_time"], task["create_time"], task["paused"])
        for task_id, task in tasks.items()
    }


def test_a_commit_is_live_within_its_interval(walk: Walk) -> None:
    out = walk.type(step("commit"))
    assert re.search(r"^func_args.message +good morning +job-3.yaml:8 \(\w{8}\) by Ann, ", out)


def test_a_commit_is_live_at_once_by_webhook(database_url: str, set_up: Walk) -> None:
    set_up.run(step("run").replace("INTERVAL=2s", "INTERVAL=1h"), database_url)
    committed = step("commit").partition("until")[0]
    secret = {"TASKSERVICE_GIT_WEBHOOK_SECRET": "a-long-secret"}
    set_up.type(committed + step("webhook"), **secret)
    assert set_up.task("job-3")["func_args"] == {"message": "good morning"}


def test_a_commit_with_one_broken_file_of_ten_is_live_but_for_that_file(walk: Walk) -> None:
    out = walk.type(step("broken"))
    names = [task["name"] for task in walk.tasks().values()]
    assert names == [*(f"Task {n}" for n in range(7)), "Job 7", "Task 8", "Task 9"]
    assert re.search(r"^job-7.yaml:\d+:\d+: ", out, re.MULTILINE)
    assert "Job 7" in out


def test_a_pause_survives_three_commits_is_named_in_each_plan_and_ends_on_time(walk: Walk) -> None:
    pause, _, rest = step("pause").partition("\n")
    walk.type(pause)
    out = walk.type(rest)
    plans = out.split("Plan: 1 to change.")
    assert len(plans) == 4
    for number, told in enumerate(plans[:3], start=1):
        assert f"~ job-{number}  job-{number}.yaml:2" in told
        assert re.search(r"Overrides in force:\n  job-5  paused = true, .*: INC-42, until ", told)
    assert [walk.task(f"job-{n}")["description"] for n in (1, 2, 3)] == [
        f"change {n} of somebody else" for n in (1, 2, 3)
    ]
    assert (walk.task("job-5")["paused"], walk.task("job-5")["next_run_time"]) == (True, None)
    assert "INC-42" in plans[3]
    # Its end is moved to where a test can wait for it.
    until = datetime.now(UTC) + timedelta(seconds=10)
    params = {"until": until.isoformat()}
    answer = walk.http.post("/task-manage/job-5/pause", params=params).raise_for_status()
    assert answer.json()["paused"]
    wait_for("the pause ends", lambda: not walk.task("job-5")["paused"], seconds=30)
    over = datetime.fromisoformat(walk.task("job-5")["update_time"])
    assert 0 <= (over - until).total_seconds() < 10
    assert walk.task("job-5")["next_run_time"] is not None


def test_an_override_that_is_promoted_merged_and_pulled_is_gone_and_moves_no_fire(
    walk: Walk,
) -> None:
    answer = walk.type(step("override"))
    assert '"drift":"overridden"' in answer
    before = kept(walk.tasks())
    out = walk.type(step("promote"))
    assert walk.task("job-2")["drift"] == "in_sync"
    assert walk.task("job-2")["timeout"] == 60
    assert walk.get("/task-manage/job-2/overrides") == []
    assert kept(walk.tasks()) == before
    documented = re.search(r"```diff\n(.*?)```", DOCUMENT, re.DOTALL)
    assert documented is not None
    assert documented[1] in out
    log = walk.type("git -C work log -1 --format='%an|%s|%b' -- tasks.d/job-2.yaml")
    assert log.startswith("anonymous|")
    assert "hangs now and then" in log
    assert walk.type("git -C work diff --stat HEAD~1 HEAD").endswith("1 insertion(+)\n")


def test_another_form_and_another_place_change_nothing(walk: Walk) -> None:
    before = kept(walk.tasks())
    out = walk.type(step("reformat"))
    assert "Plan: no changes." in out
    assert kept(walk.tasks()) == before
    places = {task["declared_in"]["path"] for task in walk.tasks().values()}
    assert {"team/job-0.yaml", "job-9.yaml"} <= places
    assert "# Formatted anew." in walk.type("cat work/tasks.d/job-9.yaml")
    assert walk.type("taskservice plan work/tasks.d") == "Plan: no changes.\n"


def test_a_branch_that_deletes_everything_is_held(walk: Walk) -> None:
    before = kept(walk.tasks())
    out = walk.type(step("delete"))
    assert "held: 10 of 10 declared tasks would be retired" in out
    report = walk.get("/sync")
    assert report["held"]["task_ids"] == sorted(before)
    assert kept(walk.tasks()) == before
    walk.type("taskservice sync --prune")
    wait_for("they are retired", lambda: not walk.tasks())


def test_the_workflow_for_pull_requests_does_what_it_says(set_up: Walk) -> None:
    workflow = yaml.safe_load(step("workflow"))
    steps = {one.get("name"): one for one in workflow["jobs"]["tasks"]["steps"]}
    set_up.type(
        "git clone --quiet tasks.git pull && cd pull && git checkout --quiet -b change\n"
        "sed -i 's/hello from 3/good morning/' tasks.d/job-3.yaml && rm tasks.d/job-9.yaml"
    )
    github = {"GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": str(set_up.folder / "summary")}
    validated = set_up.type("cd pull\n" + steps["Validate"]["run"], **github)
    assert validated == "9 tasks in 9 files: no faults\n"
    # No service is needed.
    alone = {**github, "TASKSERVICE_SERVER": "http://127.0.0.1:1"}
    set_up.type("cd pull\n" + steps["Plan"]["run"], **alone)
    comment = (set_up.folder / "summary").read_text()
    assert comment.startswith("### taskservice plan: 1 to change, 1 to retire\n")
    set_up.type("cd pull && echo 'name: [' > tasks.d/job-0.yaml")
    with pytest.raises(AssertionError, match=r"::error file=tasks\.d/job-0\.yaml,line=2"):
        set_up.type("cd pull\n" + steps["Validate"]["run"], **github)
    with pytest.raises(AssertionError):
        set_up.type("cd pull\n" + steps["Plan"]["run"], **alone)
