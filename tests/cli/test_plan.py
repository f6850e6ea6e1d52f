"""`taskservice plan` against a service: what it tells, in each form, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.sync.gitrepo.test_blame import commit, git

REPORT = """\
name: {name}
task_type: report
trigger_type: cron
trigger_args: {{crontab: "{crontab}"}}
func_path: taskservice.examples.simple_task
func_args: {{message: hello}}
"""


def report(name: str, crontab: str = "0 7 * * *", more: str = "") -> str:
    return REPORT.format(name=name, crontab=crontab) + more


@pytest.fixture(scope="module")
def declared(service: ServiceProcess, cli: Cli) -> Cli:
    """Five tasks, one of them with an override."""
    for number in range(5):
        (service.folder / f"r{number}.yaml").write_text(report(f"Report {number}"))
    service.http.post("/sync").raise_for_status()
    service.http.put(
        "/task-manage/r1?reason=too_slow&until=3d", json={"timeout": 60}
    ).raise_for_status()
    return cli


@pytest.fixture
def folder(service: ServiceProcess, tmp_path: Path) -> Path:
    """A checkout of the folder, to be changed."""
    return Path(shutil.copytree(service.folder, tmp_path / "checkout"))


def change(folder: Path) -> None:
    """A commit with one change of each kind."""
    (folder / "night.yaml").write_text(
        report("Night", more="").replace("}\nfunc", ", timezone: Europe/Berlin}\nfunc", 1)
    )
    text = (folder / "night.yaml").read_text().replace("0 7 * * *", "30 2 * * *")
    (folder / "night.yaml").write_text(text)
    (folder / "r0.yaml").write_text(report("Report 0", "0 8 * * 1-5"))
    (folder / "r1.yaml").write_text(report("Report 1", more="timeout: 30\n"))
    (folder / "r2.yaml").unlink()


def test_nothing_to_do_names_what_is_overridden(declared: Cli, folder: Path) -> None:
    status, out, err = declared.run("plan", str(folder))
    assert (status, err) == (0, "")
    assert "r1  timeout = 60, set by anonymous" in out
    assert "too_slow, until" in out
    assert out.endswith("Plan: no changes.\n")


def test_each_kind_of_change(declared: Cli, folder: Path) -> None:
    change(folder)
    status, out, err = declared.run("plan", str(folder))
    assert (status, err) == (2, "")
    assert "+ night  night.yaml:1" in out
    assert "02:30 is skipped by the clock: it fires after the gap" in out
    assert '"0 7 * * *"} → cron {"crontab": "0 8 * * 1-5"}' in out
    assert "7 → 5 (5 gained, 7 lost)" in out
    assert "- → 30 (has no effect now: overridden by anonymous" in out
    assert "- r2  r2.yaml:1" in out
    assert out.endswith("Plan: 1 to create, 2 to change, 1 to retire.\n")


def test_programs_get_what_the_api_answers(declared: Cli, folder: Path) -> None:
    change(folder)
    status, out, _ = declared.run("plan", str(folder), "--output", "json")
    plan = json.loads(out)
    assert status == 2
    assert [entry["task_id"] for entry in plan["update"]] == ["r0", "r1"]


def test_a_comment_for_a_pull_request(declared: Cli, folder: Path) -> None:
    change(folder)
    status, out, _ = declared.run("plan", str(folder), "--format", "markdown")
    assert status == 2
    assert out.startswith("### taskservice plan: 1 to create, 2 to change, 1 to retire\n")
    assert "**~ `r0`** `r0.yaml:1`" in out
    assert "| `timeout` | `-` → `30` (has no effect now: overridden by `anonymous`" in out
    assert "`too_slow`" in out
    assert "**Overrides in force**" in out


def test_a_file_at_fault(declared: Cli, folder: Path) -> None:
    (folder / "r3.yaml").write_text("name: [\n")
    status, out, _ = declared.run("plan", str(folder))
    assert status == 1
    assert "! r3.yaml:2:1: " in out
    assert "1 refused" in out
    _, out, _ = declared.run("plan", str(folder), "--format", "markdown")
    assert "**Refused**\n\n- `r3.yaml:2:1: " in out


def test_what_the_guard_would_hold(declared: Cli, folder: Path) -> None:
    for number in range(4):
        (folder / f"r{number}.yaml").unlink()
    status, out, _ = declared.run("plan", str(folder))
    assert status == 2
    assert "held: 4 of 5 declared tasks would be retired: r0, r1, r2, r3" in out
    _, out, _ = declared.run("plan", str(folder), "--format", "markdown")
    assert "**Held**: `4 of 5 declared tasks" in out


def test_on_a_terminal_a_bar_goes_with_it(declared: Cli, folder: Path) -> None:
    status, shown = declared.on_terminal("plan", str(folder))
    assert status == 0
    assert "Planning 5 files" in shown and "no changes" in shown


def test_an_override_that_the_file_now_says(declared: Cli, folder: Path) -> None:
    (folder / "r1.yaml").write_text(report("Report 1", more="timeout: 60\n"))
    status, out, _ = declared.run("plan", str(folder))
    assert status == 2
    assert "override ends, set by anonymous" in out
    assert "as before: " in out


def test_a_file_that_can_not_be_sent_is_not_taken_for_gone(declared: Cli, folder: Path) -> None:
    (folder / "r3.yaml").write_bytes("name: Grüße\n".encode("latin-1"))
    (folder / "link.yaml").symlink_to("nowhere")
    status, out, err = declared.run("plan", str(folder))
    assert (status, out) == (1, "")
    assert "r3.yaml: is not UTF-8" in err
    assert "link.yaml:1:1: is a link that points at nothing" in err


def test_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    status, _, err = cli.run("plan", str(tmp_path / "nowhere"))
    assert status == 64
    assert "does not exist" in err


def test_no_service(cli: Cli, tmp_path: Path) -> None:
    status, out, err = cli.run("plan", str(tmp_path), "--server", "http://127.0.0.1:1")
    assert (status, out) == (1, "")
    assert "no service answers at http://127.0.0.1:1" in err


@pytest.fixture
def alone() -> Cli:
    """The command, with no service to speak to."""
    return Cli("http://127.0.0.1:1")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder of twenty tasks in a repository, committed."""
    folder = tmp_path / "repository" / "tasks.d"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"r{number}.yaml").write_text(report(f"Report {number}"))
    git(folder.parent, "init", "-q")
    commit(folder)
    return folder


def test_against_a_commit_with_no_service(alone: Cli, repository: Path) -> None:
    status, out, err = alone.run("plan", str(repository), "--against", "HEAD")
    assert (status, out, err) == (0, "Plan: no changes.\n", "")
    change(repository)
    status, out, err = alone.run("plan", str(repository), "--against", "HEAD")
    assert (status, err) == (2, "")
    assert "- → 30\n" in out
    assert out.endswith("Plan: 1 to create, 2 to change, 1 to retire.\n")
    asked = ("plan", str(repository), "--against", "HEAD", "--format", "markdown")
    status, out, err = alone.run(*asked)
    assert (status, err) == (2, "")
    assert out.startswith("### taskservice plan: 1 to create, 2 to change, 1 to retire\n")
    assert "Overrides in force" not in out


def test_against_another_folder(alone: Cli, repository: Path, tmp_path: Path) -> None:
    before = Path(shutil.copytree(repository, tmp_path / "before"))
    for number in range(14):
        (repository / f"r{number}.yaml").unlink()
    (repository / "r19.yaml").unlink()
    (repository / "r19.yaml").symlink_to("nowhere")
    status, out, err = alone.run("plan", str(repository), "--against", str(before))
    assert (status, err) == (1, "")
    assert "! r19.yaml:1:1: is a link that points at nothing" in out
    assert "held: 14 of 20 declared tasks would be retired" in out
    assert "r19" not in out.partition("held")[2]


def test_tasks_are_checked_as_the_service_would(alone: Cli, repository: Path) -> None:
    (repository / "mine.yaml").write_text(
        report("Mine").replace("taskservice.examples.simple_task", "mine.tasks.run")
    )
    asked = ("plan", str(repository), "--against", "HEAD", "--output", "json")
    status, out, _ = alone.run(*asked)
    assert (status, json.loads(out)["refuse"][0]["field"]) == (1, "func_path")
    status, out, _ = alone.run(*asked, "--no-import", TASKSERVICE_FUNCTIONS="mine.*")
    assert status == 1  # the others are not allowed any more
    allowed = "mine.*,taskservice.examples.*"
    status, out, _ = alone.run(*asked, "--no-import", TASKSERVICE_FUNCTIONS=allowed)
    assert (status, json.loads(out)["refuse"]) == (2, [])


def test_against_what_there_is_not(alone: Cli, repository: Path) -> None:
    status, _, err = alone.run("plan", str(repository), "--against", "nowhere")
    assert status == 64
    assert "neither a folder nor a commit" in " ".join(err.split())
