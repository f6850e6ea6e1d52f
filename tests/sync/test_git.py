"""The commit that the tasks folder stands at."""

import shutil
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from taskservice.sync import git
from taskservice.sync.git import head_revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine's, and no warning remembered."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    git._warn.cache_clear()


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    work_tree = tmp_path / "repo"
    (work_tree / "tasks.d").mkdir(parents=True)
    run(work_tree, "init", "--quiet")
    return work_tree


def run(work_tree: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    command = ["git", "-C", str(work_tree), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(work_tree: Path) -> str:
    run(work_tree, "commit", "--quiet", "--allow-empty", "--message", "more")
    return run(work_tree, "rev-parse", "HEAD")


def test_the_commit_of_head(work_tree: Path) -> None:
    for _ in range(2):
        revision = commit(work_tree)
        assert head_revision(work_tree / "tasks.d") == revision
        assert head_revision(work_tree) == revision


def test_through_a_link_into_another_work_tree(work_tree: Path, tmp_path: Path) -> None:
    commit(work_tree)
    other = tmp_path / "other"
    run(work_tree, "worktree", "add", "--quiet", "--detach", str(other))
    newer = commit(other)
    (tmp_path / "link").symlink_to(other)
    assert head_revision(tmp_path / "link") == newer


def test_none_outside_a_work_tree(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert head_revision(tmp_path) is None
        assert head_revision(tmp_path / "missing") is None
    assert logs == []


def test_none_and_no_complaint_before_the_first_commit(work_tree: Path) -> None:
    with capture_logs() as logs:
        assert head_revision(work_tree) is None
    assert logs == []


def test_a_repository_of_another_user_is_told_of_once(
    work_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(work_tree)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with capture_logs() as logs:
        assert head_revision(work_tree) is None
        assert head_revision(work_tree) is None
    (line,) = logs
    assert line["event"] == "revision_unknown"
    assert "dubious ownership" in line["reason"]


def test_the_variables_of_a_git_hook_do_not_mislead(
    work_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = commit(work_tree)
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "--quiet")
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert head_revision(work_tree) == revision


def test_none_without_git(work_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(work_tree)
    monkeypatch.setenv("PATH", "")
    assert head_revision(work_tree) is None


def test_none_when_git_hangs(work_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = work_tree / "bin/git"
    hanging.parent.mkdir()
    hanging.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", str(hanging.parent))
    monkeypatch.setattr(git, "TIMEOUT_SECONDS", 0.1)
    with capture_logs() as logs:
        assert head_revision(work_tree) is None
    assert "timed out" in logs[0]["reason"]
