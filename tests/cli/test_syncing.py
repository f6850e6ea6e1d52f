"""`sync` and `status` against a real service."""

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.cli.conftest import NOTICE, Cli
from tests.sync.gitrepo.test_blame import commit, git


@pytest.fixture(autouse=True)
def files(service: ServiceProcess) -> Iterator[None]:
    """Six sound files."""
    for name in "abcdef":
        service.write(f"{name}.yaml", NOTICE)
    yield
    (service.folder / "broken.yaml").unlink(missing_ok=True)


def test_a_sound_folder(cli: Cli, service: ServiceProcess) -> None:
    out = cli.ok("sync", TZ="Asia/Kolkata")
    assert out.startswith("synced:    2") and "+05:30 (" in out.splitlines()[0]
    assert "declared:  6 (6 in sync, 0 overridden, 0 in conflict)\nerrors:    0\n" in out

    def shown() -> Any:
        report = json.loads(cli.ok("status", "--output", "json"))
        cli.ok("status")
        return report if service.get("/sync") == report else None

    # The service itself may sync meanwhile, for a file that was just written: once.
    report = wait_for("status shows what is and does not sync", shown)
    again = json.loads(cli.ok("sync", "--output", "json"))
    assert datetime.fromisoformat(again["synced_at"]) > datetime.fromisoformat(report["synced_at"])


def test_a_fault_is_told_with_its_place_and_is_the_exit_status(
    cli: Cli, service: ServiceProcess
) -> None:
    service.write("broken.yaml", NOTICE.replace("hours: 1", "hours: soon"))
    status, out, err = cli.run("sync")
    assert (status, err) == (1, "")
    assert "\nerrors:    1\nbroken.yaml:4:" in out
    (line,) = [line for line in out.splitlines() if line.startswith("broken.yaml")]
    place, field, _ = line.split(": ", 2)
    assert (place.count(":"), field) == (2, "trigger_args.hours")
    assert cli.run("sync", "--output", "json").status == 1
    assert "broken.yaml:4:" in cli.ok("status")


def test_a_held_sync_goes_on_with_prune(cli: Cli, service: ServiceProcess) -> None:
    cli.ok("sync")
    for name in "bcdef":
        (service.folder / f"{name}.yaml").unlink()

    def held() -> str:
        status, out, err = cli.run("sync")
        is_held = "held:" in out
        assert (status, err) == (1 if is_held else 0, "")
        return out if is_held else ""

    out = wait_for("the sync is held", held, seconds=30, every=0.2)
    assert "to let it go on: taskservice sync --prune\n           b, c, d, e, f\n" in out
    assert "held:" in cli.ok("status")
    out = cli.ok("sync", "--prune")
    assert "held:" not in out
    assert "\nretired:   5\nTASK  FILE    RETIRED" in out
    assert "\nretired   2" in cli.ok("show", "b")
    assert [line.split()[:2] for line in out.splitlines()[-5:]] == [
        [name, f"{name}.yaml"] for name in "bcdef"
    ]


def test_the_commit_of_a_repository_is_told(cli: Cli, service: ServiceProcess) -> None:
    git(service.folder, "init", "-q")
    revision = commit(service.folder)
    assert f"\nrevision:  {revision}\n" in cli.ok("sync")
    shutil.rmtree(service.folder / ".git")
