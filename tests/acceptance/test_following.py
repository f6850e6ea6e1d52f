"""A repository that is followed, as `docs/gitops.md` tells it: the service, git, and webhooks."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.origin import Origin, task

DOCUMENT = Path(__file__).parents[2] / "docs" / "gitops.md"
SECRET = "the h00k's secret"
TOKEN = {"Authorization": "Bearer adm1n"}


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "elsewhere")
    made.commit({f"tasks.d/t{number}.yaml": task("one") for number in range(10)})
    return made


@pytest.fixture
def follow(
    database_url: str, origin: Origin, tmp_path: Path
) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts a service that follows the repository, with such variables."""
    with ExitStack() as stack:

        def start(**variables: str) -> ServiceProcess:
            usual = {"GIT_URL": origin.url, "GIT_PATH": "tasks.d", "GIT_INTERVAL": "0.2"}
            environ = {f"TASKSERVICE_{k}": v for k, v in {**usual, **variables}.items()}
            service = ServiceProcess(database_url, tmp_path / "new" / "tasks.d", environ)
            return stack.enter_context(service)

        yield start


def wait_for_live(service: ServiceProcess, commit: str) -> Any:
    """The report, once this commit is live and synced."""

    def live() -> Any:
        report = service.get("/sync")
        synced = report["revision"] == report["repository"]["live"] == commit
        return synced and not report["held"] and report

    return wait_for("the commit is live", live)


def test_commits_go_live_and_the_last_good_stays(
    follow: Callable[..., ServiceProcess], origin: Origin
) -> None:
    service = follow()
    commit = origin.commit({f"tasks.d/t{number}.yaml": task("two") for number in range(10)})
    assert wait_for_live(service, commit)["declared"] == 10
    shown = service.get("/task-manage/t3")
    assert (shown["name"], shown["declared_in"]) == (
        "two", {"path": "t3.yaml", "line": 1, "revision": commit}
    )  # fmt: skip

    # One broken file of ten.
    files = {f"tasks.d/t{number}.yaml": task("three") for number in range(10)}
    commit = origin.commit({**files, "tasks.d/t3.yaml": "name: [half\n"})
    (error,) = wait_for_live(service, commit)["errors"]
    assert error["path"] == "t3.yaml"
    names = [service.get(f"/task-manage/t{number}")["name"] for number in range(10)]
    assert names == ["three"] * 3 + ["two"] + ["three"] * 6
    commit = origin.commit(files)
    assert wait_for_live(service, commit)["errors"] == []

    # The network is lost, over a restart too.
    origin.lose()
    problem = wait_for("it is told", lambda: service.get("/sync")["repository"]["problem"])
    assert "does not appear to be a git repository" in problem
    service.kill()
    service.start()
    assert service.get("/sync")["repository"]["live"] == commit
    assert service.get("/task-manage/t3")["name"] == "three"
    origin.find()
    commit = origin.commit({"tasks.d/t3.yaml": task("four")})
    assert wait_for_live(service, commit)["repository"]["problem"] is None

    # A rewritten branch waits for somebody.
    rewritten = origin.commit({"tasks.d/t3.yaml": task("five")}, amend=True)
    problem = wait_for("it is told", lambda: service.get("/sync")["repository"]["problem"])
    assert problem.startswith(f"the branch was rewritten: {rewritten[:12]} does not follow on")
    assert service.send("POST", "/sync")["repository"]["live"] == commit
    report = service.send("POST", "/sync?prune=true")
    assert (report["repository"]["live"], report["repository"]["problem"]) == (rewritten, None)
    assert service.get("/task-manage/t3")["name"] == "five"
    assert service.terminate() == 0


def test_the_documents_webhook_is_taken_and_no_secret_is_told(
    follow: Callable[..., ServiceProcess],
    origin: Origin,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    service = follow(GIT_INTERVAL="1h", GIT_WEBHOOK_SECRET=SECRET, API_TOKENS="ann:admin:adm1n")
    block = re.search(r"<!-- webhook -->\n```bash\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    told = []
    for name, secret in (("two", SECRET), ("three", "another")):
        commit = origin.commit({"tasks.d/t3.yaml": task(name)})
        command = block[1].replace(":8000", f":{service.port}")
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=True,
            env={"PATH": "/usr/bin:/bin", "TASKSERVICE_GIT_WEBHOOK_SECRET": secret},
        )  # fmt: skip
        told.append(done.stdout)
        assert (f'"live":"{commit}"' in done.stdout) is (secret == SECRET), done.stdout
    assert '"status":401' in told[1]
    assert service.send("GET", "/task-manage/t3", headers=TOKEN)["name"] == "two"
    assert service.terminate() == 0
    told += capfd.readouterr()
    assert not [text for text in told if SECRET in text or "adm1n" in text]
    assert not [
        path for path in (tmp_path / "new").rglob("*")
        if path.is_file() and SECRET in path.read_text("latin-1")
    ]  # fmt: skip
