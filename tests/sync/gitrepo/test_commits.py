"""The last commits of a work tree."""

from datetime import UTC, datetime
from pathlib import Path

from taskservice.sync.gitrepo.commits import Commit, last_commits
from tests.sync.gitrepo.test_blame import commit, git


def test_the_last_commits_newest_first(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "tasks.d").mkdir()
    (tmp_path / "tasks.d" / "a.yaml").write_text("a")
    first = commit(tmp_path)
    (tmp_path / "b").write_text("b")
    second = commit(tmp_path)
    found = last_commits(tmp_path / "tasks.d")
    assert [one.name for one in found] == [second, first]
    assert all(one.author and one.subject and one.date <= datetime.now(UTC) for one in found)
    assert last_commits(tmp_path, count=1) == found[:1]


def test_a_commit_that_is_not_yet_live_is_told_too(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "a").write_text("a")
    first = commit(tmp_path)
    (tmp_path / "a").write_text("b")
    second = commit(tmp_path, at=1_700_000_001)
    git(tmp_path, "checkout", "--quiet", "--detach", first)
    assert names(last_commits(tmp_path)) == [first]
    assert names(last_commits(tmp_path, also=[second, None])) == [second, first]
    assert names(last_commits(tmp_path, also=["0" * 40, "--all", "main"])) == [first]


def names(commits: list[Commit]) -> list[str]:
    return [one.name for one in commits]


def test_hostile_messages_stay_text(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    message = "<b>\x1f\x1e 中文\tx\n\nmore\n"
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", message)
    [one] = last_commits(tmp_path)
    assert one.subject == "<b>\x1f\x1e 中文\tx"


def test_none_where_there_is_no_work_tree(tmp_path: Path) -> None:
    assert last_commits(tmp_path) == []
    git(tmp_path, "init", "--quiet")
    assert last_commits(tmp_path) == []
