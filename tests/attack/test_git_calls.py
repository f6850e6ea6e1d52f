"""Git is run in one place, and that place has a limit for everything."""

import ast
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from taskservice.sync.gitrepo.commits import last_commits
from taskservice.sync.gitrepo.git import GitError, GitRefused, GitTooMuch, run_git
from taskservice.sync.gitrepo.head import find_head, head_revision
from taskservice.sync.gitrepo.revisions import files_at
from tests.attack.hostile import git

PACKAGE = Path(__file__).parents[2] / "taskservice"
RUNNER = "sync/gitrepo/git.py"
STARTERS = ("Popen", "run", "call", "check_call", "check_output", "getoutput", "system", "popen")


def runs_git(source: str) -> bool:
    """Whether a module names git where a program's name may stand, and starts programs."""
    tree = ast.parse(source)
    names_git = starts = False
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            first = node.elts[0]
            names_git |= isinstance(first, ast.Constant) and first.value in ("git", "/usr/bin/git")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            name = called.rpartition(".")[2]
            starts |= name in STARTERS or name.startswith(("create_subprocess", "exec", "spawn"))
            for one in node.args[:1]:
                text = ast.unparse(one).strip("f'\"")
                names_git |= text == "git" or text.startswith("git ")
    return names_git and starts


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("subprocess.run(['git', 'log'])", True),
        ("command = ['git', *more]\nsubprocess.Popen(command)", True),
        ("os.system('git log')", True),
        ("os.system(f'git {one}')", True),
        ("await asyncio.create_subprocess_exec('git', 'log')", True),
        ("os.execvp('git', ['git'])", True),
        ("subprocess.run(['ls'])", False),
        ("word = 'git'", False),
    ],
)
def test_a_call_of_git_is_found(source: str, found: bool) -> None:
    assert runs_git(source) is found


def test_git_is_run_in_one_module() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py") if runs_git(file.read_text())
    }  # fmt: skip
    assert found == {RUNNER}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "repository")
    return tmp_path / "repository/.git"


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another program in the place of git."""
    made = folder / "programs"
    made.mkdir()
    (made / "git").write_text(f"#!/bin/sh\n{text}\n")
    (made / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{made}:/usr/bin:/bin")


def test_what_it_says_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exec yes", monkeypatch)
    with pytest.raises(GitTooMuch, match="more than 100000 bytes"):
        run_git("log", git_dir=tmp_path, limit=100_000)


def test_what_it_complains_of_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 3", monkeypatch)
    with pytest.raises(GitRefused) as raised:
        run_git("log", git_dir=tmp_path)
    assert len(raised.value.said) < 500


def test_it_has_its_time_though_it_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "exec 1>&- 2>&-; while :; do sleep 0.1; done", monkeypatch)
    began = time.monotonic()
    with pytest.raises(GitError, match=r"longer than 0\.3 seconds"):
        run_git("log", git_dir=tmp_path, given=b"x" * 1_000_000, seconds=0.3)
    assert time.monotonic() - began < 10


def test_what_it_leaves_behind_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "echo said; sleep 20 & exit 0", monkeypatch)
    began = time.monotonic()
    assert run_git("log", git_dir=tmp_path, seconds=30) == b"said\n"
    assert time.monotonic() - began < 10


def test_it_is_ended_when_the_service_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "exec sleep 60", monkeypatch)
    ended = threading.Event()
    threading.Timer(0.1, ended.set).start()
    with pytest.raises(GitError, match="was stopping"):
        run_git("log", git_dir=tmp_path, ended=ended, seconds=60)


def test_all_that_it_says_is_read(repository: Path) -> None:
    data = os.urandom(3_000_000)
    name = run_git("hash-object", "-w", "--stdin", git_dir=repository, given=data).decode().strip()
    assert run_git("cat-file", "blob", name, git_dir=repository) == data


def test_its_memory_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path, "while [ $(ulimit -d) = unlimited ]; do sleep 0.01; done; ulimit -d", monkeypatch
    )
    assert int(run_git("log", git_dir=tmp_path)) * 1024 <= 2 * 1024**3


def test_it_is_run_where_nothing_can_be_written(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.parent / "tasks.d").mkdir()
    git(repository.parent, "commit", "--quiet", "--allow-empty", "--message", "first")
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file" / "nowhere"))
    folder = repository.parent / "tasks.d"
    head = head_revision(folder)
    assert head == git(repository.parent, "rev-parse", "HEAD")
    assert find_head(folder) is None and last_commits(folder) == []
    with pytest.raises(GitError, match="no room to work in"):
        files_at(folder, "HEAD")


def test_a_file_that_it_writes_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path, "while [ $(ulimit -f) = unlimited ]; do sleep 0.01; done; ulimit -f", monkeypatch
    )
    assert int(run_git("log", git_dir=tmp_path)) * 512 <= 2 * 1024**3


def test_a_variable_is_passed_only_where_it_is_known_to_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "exec env", monkeypatch)
    users = {
        "HOME": "/home/ann", "SSH_AUTH_SOCK": "/x", "GIT_SSH_COMMAND": "ssh", "https_proxy": "h",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c",
    }  # fmt: skip
    misleading = {
        "GIT_DIR": "/evil", "GIT_WORK_TREE": "/evil", "GIT_EXTERNAL_DIFF": "/evil",
        "GIT_TRACE": "/evil", "GIT_INDEX_FILE": "/evil", "GIT_ALLOW_PROTOCOL": "ext",
        "GIT_CONFIG_PARAMETERS": "'a.b=c'", "GIT_REPLACE_REF_BASE": "x", "LD_PRELOAD": "",
        "AWS_SECRET_ACCESS_KEY": "s", "TASKSERVICE_SECRET": "s",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/",
    }  # fmt: skip
    for name, value in {**users, **misleading}.items():
        monkeypatch.setenv(name, value)
    told = {}
    for as_user in (False, True):
        lines = run_git("log", git_dir=tmp_path, as_user=as_user).decode().splitlines()
        told[as_user] = dict(line.split("=", 1) for line in lines)
        assert not [
            name for name in misleading if told[as_user].get(name) == misleading[name] != ""
        ]
        assert "LD_PRELOAD" not in told[as_user]
    assert {name: told[True].get(name) for name in users} == users
    assert told[False]["HOME"] == told[False]["GIT_CONFIG_GLOBAL"] == "/dev/null"
    assert not (users.keys() - {"HOME"}) & told[False].keys()


def test_a_program_is_not_looked_for_in_the_folder_it_works_in(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = repository.parent
    (top / "git").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (top / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")
    monkeypatch.chdir(top)
    run_git("rev-parse", "--git-dir", git_dir=repository, work_tree=top)
    assert not (tmp_path / "ran").exists()


def test_what_git_complains_of_is_one_line_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        "fatal: \033[31mred\r"
        "fatal: unable to access 'https://bob:other@example.org/': pass@word or pass%40word\\n\\n"
        "Please make sure you have the correct access rights\\nand the repository exists.\\n"
    )
    program(tmp_path, f'printf "{said.replace("%", "%%")}" >&2; exit 1', monkeypatch)
    with pytest.raises(GitRefused) as raised:
        run_git("fetch", git_dir=tmp_path, secrets=["pass@word", "pass%40word"])
    assert raised.value.said == "?[31mred; unable to access 'https://example.org/': *** or ***"
