"""The commit that the tasks folder stands at."""

import shutil
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from taskservice.sync.gitrepo.head import head_revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")

STRANGER = 12345


@pytest.fixture(autouse=True)
def plain_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine's."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


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


def test_a_repository_of_another_user_is_told_of_once(work_tree: Path) -> None:
    commit(work_tree)
    with capture_logs() as logs:
        assert head_revision(work_tree, user=STRANGER) is None
        assert head_revision(work_tree, user=STRANGER) is None
    (line,) = logs
    assert line["event"] == "revision_unknown"
    assert "dubious ownership" in line["reason"]


@pytest.mark.parametrize("trusted", [["{tree}"], ["*"], ["{above}/*"], ["/else", "", "{tree}"]])
def test_a_repository_of_another_user_that_git_is_to_trust(
    work_tree: Path, tmp_path: Path, trusted: list[str]
) -> None:
    revision = commit(work_tree)
    lines = [f"directory = {one}\n" for one in trusted]
    text = "".join(lines).format(tree=work_tree, above=work_tree.parent)
    (tmp_path / "gitconfig").write_text(f"[safe]\n{text}")
    assert head_revision(work_tree / "tasks.d", user=STRANGER) == revision


@pytest.mark.parametrize("trusted", [["/else"], ["*", ""], ["{tree}/tasks.d"], ["{tree}/*x"]])
def test_a_repository_of_another_user_that_it_is_not_to_trust(
    work_tree: Path, tmp_path: Path, trusted: list[str]
) -> None:
    commit(work_tree)
    text = "".join(f"directory = {one}\n" for one in trusted).format(tree=work_tree)
    (tmp_path / "gitconfig").write_text(f"[safe]\n{text}")
    assert head_revision(work_tree, user=STRANGER) is None


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
    with capture_logs() as logs:
        assert head_revision(work_tree, seconds=0.1) is None
    assert logs[0]["reason"] == "git took longer than 0.1 seconds"
