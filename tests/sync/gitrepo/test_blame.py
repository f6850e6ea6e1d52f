"""Who wrote the lines of a task file, by a real repository."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskservice.sync.gitrepo.blame import Blame, blame_lines

FIRST = "name: One\ntask_type: t\n"


def git(folder: Path, *arguments: str, author: str = "Ann", at: int = 1_700_000_000) -> str:
    told = {
        "GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org",
        "GIT_AUTHOR_DATE": f"{at} +0200", "GIT_COMMITTER_DATE": f"{at} +0200",
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True, capture_output=True, text=True, env={**os.environ, **told},
    )  # fmt: skip
    return done.stdout.strip()


def commit(folder: Path, **told: str | int) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "m", **told)  # type: ignore[arg-type]
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "tasks.d"
    folder.mkdir(parents=True)
    git(folder.parent, "init", "-q")
    return folder


def test_each_line_has_the_commit_that_wrote_it(repository: Path) -> None:
    (repository / "a.yaml").write_text(FIRST)
    first = commit(repository)
    (repository / "a.yaml").write_text(f"{FIRST}timeout: 5\n\n  \ntags: [ü]\n")
    second = commit(repository, author="Bölle\tB", at=1_800_000_000)
    (repository / "a.yaml").write_text(f"{FIRST}timeout: 5\n\n  \ntags: [ü]\nretries: null\n")
    ann = Blame(commit=first, name="Ann", date=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
    other = Blame(commit=second, name="Bölle\tB", date=datetime.fromtimestamp(1_800_000_000, UTC))
    assert blame_lines(repository, "a.yaml", [1, 2, 3, 6, 6, 7]) == {
        1: ann, 2: ann, 3: other, 6: other, 7: None
    }  # fmt: skip


def test_a_link_into_the_repository_is_followed(repository: Path, tmp_path: Path) -> None:
    (repository / "a.yaml").write_text(FIRST)
    first = commit(repository)
    (tmp_path / "live").symlink_to(repository)
    (author,) = blame_lines(tmp_path / "live", "a.yaml", [1]).values()
    assert author is not None and author.commit == first


def test_git_may_know_nothing(repository: Path, tmp_path: Path) -> None:
    (repository / "new.yaml").write_text(FIRST)
    (tmp_path / "b.yaml").write_text(FIRST)
    assert blame_lines(tmp_path, "b.yaml", [1]) == {}
    assert blame_lines(repository, "new.yaml", []) == {}


def test_a_file_that_is_not_committed(repository: Path) -> None:
    (repository / "new.yaml").write_text(FIRST)
    assert blame_lines(repository, "new.yaml", [1, 2]) == {1: None, 2: None}  # no commit at all
    (repository / "a.yaml").write_text(FIRST)
    git(repository, "add", "a.yaml")
    git(repository, "commit", "-q", "-m", "m")
    assert blame_lines(repository, "new.yaml", [1, 2]) == {1: None, 2: None}
    assert blame_lines(repository, "a.yaml", [1, 20]) == {}  # it has no such line


def test_a_file_of_a_submodule_is_not_told_of(repository: Path) -> None:
    inner = repository / "inner"
    inner.mkdir()
    (repository / "a.yaml").write_text(FIRST)
    (inner / "a.yaml").write_text(FIRST)
    git(inner, "init", "-q")
    commit(inner)
    git(repository, "add", "a.yaml")
    git(repository, "commit", "-q", "-m", "m")
    assert blame_lines(repository, "inner/a.yaml", [1]) == {}


def test_what_a_commit_says_that_can_not_be(repository: Path) -> None:
    (repository / "a.yaml").write_text(FIRST)
    first = commit(repository)
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    text = (
        f"tree {tree}\nauthor {'long ' * 100}<> 99999999999999 +0000\n"
        "committer <> 99999999999999 -9999\n\nm\n"
    )
    written = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
    odd = subprocess.run(
        ["git", "-C", str(repository), *written],
        input=text, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    git(repository, "reset", "-q", odd)
    (author,) = blame_lines(repository, "a.yaml", [1]).values()
    assert author is not None
    assert (author.commit, len(author.name)) == (odd, 200)
    assert author.date == datetime.fromtimestamp(0, UTC)
    assert first != odd
