"""Whoever may commit declares tasks, and no more: no repository makes git run anything else."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from taskservice.cli.branch import Branch
from taskservice.sync.folder.reading import Folder
from taskservice.sync.gitrepo.blame import blame_lines
from taskservice.sync.gitrepo.checkout import Checkout
from taskservice.sync.gitrepo.commits import last_commits
from taskservice.sync.gitrepo.git import GitError
from taskservice.sync.gitrepo.head import head_revision
from taskservice.sync.gitrepo.remote import Remote
from taskservice.sync.gitrepo.revisions import files_at
from taskservice.sync.gitrepo.work_tree import find_work_tree
from tests.acceptance.process import ServiceProcess
from tests.acceptance.warm import WarmService
from tests.attack import hostile
from tests.attack.hostile import Canary
from tests.commands import result
from tests.origin import Origin, task

SECRETS = {
    "TASKSERVICE_GIT_WEBHOOK_SECRET": "known-to-the-service-alone",
    "DATABASE_PASSWORD": "not-gits-business",
}


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    """A payload, which no test may have run by its end."""
    made = Canary(tmp_path / "payload")
    yield made
    assert made.sang == ""


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "elsewhere")
    made.commit({"tasks.d/a.yaml": task("one")})
    return made


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with how git was called, and with which variables: by a program in its place."""
    noted, programs = tmp_path / "spied", tmp_path / "spy"
    real = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\n{{ echo "called $*"; env; }} >> {noted}\nexec {real.strip()} "$@"\n'
    )
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return noted


def checkout(origin: Origin, tmp_path: Path, path: str = "tasks.d", **more: Any) -> Checkout:
    return Checkout(tmp_path / "copy", url=origin.url, branch="main", path=path, **more)


def walk_through(service: ServiceProcess, task_id: str) -> None:
    """Ask for all that the service runs git for."""
    service.send("POST", "/sync")
    told = service.send("GET", f"/task-manage/{task_id}/overrides?fields=all")
    assert {one["field"] for one in told} >= {"name", "trigger"}
    answer = service.http.get("/folder")
    assert answer.status_code == 200


# A folder that looks like a bare repository, by each of the ways to it.


def test_a_bare_repository_in_the_folder_that_is_followed(
    origin: Origin, canary: Canary, spy: Path, tmp_path: Path
) -> None:
    for place in ("tasks.d", ".", "tasks.d/below"):
        hostile.write(origin.work / place, hostile.bare_repository(canary))
    commit = origin.commit(
        {"tasks.d/below/b.yaml": task("two"), ".gitattributes": hostile.ATTRIBUTES}
    )
    spy.unlink()  # till here it was the test's own
    environ = {
        **SECRETS,
        "TASKSERVICE_GIT_URL": origin.url,
        "TASKSERVICE_GIT_PATH": "tasks.d",
        "TASKSERVICE_GIT_INTERVAL": "1h",
    }
    url = f"sqlite+aiosqlite:///{tmp_path}/taskservice.db"
    with WarmService(url, tmp_path / "service", environ) as service:
        report = service.send("GET", "/sync")
        assert (report["revision"], report["errors"]) == (commit, [])
        walk_through(service, "a")
        walk_through(service, "b")
        assert service.send("GET", "/sync")["repository"]["problem"] is None
    noted = spy.read_text()
    calls = [line for line in noted.splitlines() if line.startswith("called ")]
    assert calls
    assert not [call for call in calls if f" --git-dir={os.sep}" not in call]
    for secret in (*SECRETS, *SECRETS.values(), "TASKSERVICE_"):
        assert secret not in noted


def test_a_bare_repository_in_the_folder_of_a_checkout(
    origin: Origin, canary: Canary, tmp_path: Path
) -> None:
    for place in ("tasks.d", "tasks.d/below"):
        hostile.write(origin.work / place, hostile.bare_repository(canary))
    commit = origin.commit(
        {"tasks.d/below/b.yaml": task("two"), "tasks.d/.gitattributes": hostile.ATTRIBUTES}
    )
    url = f"sqlite+aiosqlite:///{tmp_path}/taskservice.db"
    with WarmService(url, origin.work / "tasks.d") as service:
        assert service.send("GET", "/sync")["revision"] == commit
        walk_through(service, "a")
        walk_through(service, "b")


def test_a_bare_repository_where_there_is_no_checkout(canary: Canary, tmp_path: Path) -> None:
    folder = tmp_path / "tasks.d"
    hostile.write(folder, {**hostile.bare_repository(canary), "a.yaml": task("one")})
    with capture_logs() as logs:
        assert head_revision(folder) is None
    assert blame_lines(folder, "a.yaml", [1]) == {}
    assert last_commits(folder) == []
    assert files_at(folder, "HEAD") is None
    assert logs == []


def test_a_bare_repository_on_a_pull_request(
    origin: Origin, canary: Canary, tmp_path: Path
) -> None:
    hostile.write(origin.work / "tasks.d", hostile.bare_repository(canary))
    origin.commit({"tasks.d/b.yaml": task("two")})
    done = subprocess.run(
        [
            *(sys.executable, "-m", "taskservice", "plan", "tasks.d"),
            *("--against", "HEAD~1", "--no-import", "--output", "json"),
        ],
        cwd=origin.work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert '"task_id": "b"' in done.stdout
    found = files_at(origin.work / "tasks.d", "HEAD")
    assert found is not None and found.texts.keys() == {"a.yaml", "b.yaml"}


def test_a_folder_that_is_called_like_the_commit(origin: Origin) -> None:
    """Else a plan would say that nothing changes, by the word of whoever changes it."""
    base = origin.git("rev-parse", "HEAD")
    origin.git("update-ref", "refs/remotes/upstream/main", base)
    origin.commit({"tasks.d/b.yaml": task("two"), "upstream/main/b.yaml": task("two")})
    arguments = ("plan", "tasks.d", "--no-import", "--against")
    status, _, err = result(origin.work, *arguments, "upstream/main")
    assert status == 64 and "is a folder and a commit too" in " ".join(err.split())
    assert result(origin.work, *arguments, base).status == 2
    assert result(origin.work, *arguments, "./upstream/main").status == 2
    assert result(origin.work, *arguments, "tasks.d").status == 0


def test_a_git_file_that_leads_into_the_folder_itself(canary: Canary, tmp_path: Path) -> None:
    folder = tmp_path / "tasks.d"
    hostile.write(folder, {"a.yaml": task("one"), ".git": "gitdir: evil\n"})
    hostile.write(folder / "evil", hostile.bare_repository(canary))
    with capture_logs() as logs:
        assert head_revision(folder) is None
    assert "leads into the folder itself" in logs[0]["reason"]
    (folder / ".git").unlink()
    (folder / ".git").symlink_to("evil")
    assert head_revision(folder) is None
    with pytest.raises(GitError, match="leads into the folder itself"):
        files_at(folder, "HEAD")
    (folder / ".git").unlink()
    (folder / ".git").write_text("no link at all\n" * 10_000)
    with pytest.raises(GitError, match="leads to no repository"):
        files_at(folder, "HEAD")


# A repository's own configuration: it belongs to who cloned it, and is obeyed in nothing.


def test_nothing_of_a_checkouts_configuration_is_run(origin: Origin, canary: Canary) -> None:
    file = origin.work / "tasks.d/a.yaml"
    origin.commit({".gitattributes": hostile.ATTRIBUTES, "tasks.d/.gitattributes": "* diff=evil"})
    signed = hostile.git(origin.work, "cat-file", "commit", "HEAD").replace(
        "\n\n",
        "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n\n",
        1,
    )
    made = hostile.git(
        origin.work, "hash-object", "-t", "commit", "-w", "--stdin", given=signed.encode()
    )
    origin.git("reset", "--quiet", "--soft", made)
    commit = made
    before = file.read_bytes()
    file.write_text(file.read_text() + "timeout: 5\n")
    config = origin.work / ".git/config"
    config.write_text(hostile.configuration(canary, bare=False))
    (canary.program.parent / "included").write_text(f"[core]\n\tfsmonitor = {canary.program}\n")
    (canary.program.parent / "attributes").write_text("* filter=evil\n")
    (origin.work / ".git/info/attributes").write_text("* filter=evil diff=evil\n")
    (origin.work / ".git/hooks").mkdir(exist_ok=True)
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        (origin.work / ".git/hooks" / hook).symlink_to(canary.program)

    tasks = origin.work / "tasks.d"
    assert head_revision(tasks) == commit
    authors = blame_lines(tasks, "a.yaml", [1, 7])
    assert authors[7] is None and authors[1] is not None and authors[1].name == "Ann"
    assert last_commits(tasks)[0].name == commit
    found = files_at(tasks, "HEAD")
    assert found is not None and found.texts == {"a.yaml": before}
    # A commit that it lacks is asked of nobody.
    (origin.work / ".git/HEAD").write_text(hostile.NOWHERE)
    with pytest.raises(GitError, match="lazy fetching disabled"):
        files_at(tasks, "HEAD")
    assert head_revision(tasks) is None


def test_a_branch_is_made_without_the_programs_of_its_repository(
    origin: Origin, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = origin.work / "tasks.d/a.yaml"
    config = origin.work / ".git/config"
    origin.commit({"other/.gitattributes": hostile.ATTRIBUTES})
    evil = hostile.configuration(canary, bare=False).replace("partialClone = origin", "")
    config.write_text(evil)
    (origin.work / ".git/hooks").mkdir(exist_ok=True)
    for hook in ("post-index-change", "reference-transaction"):
        (origin.work / ".git/hooks" / hook).symlink_to(canary.program)
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Eve")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "eve@example.org")
    with Branch(origin.work / "tasks.d", "more") as branch:
        assert branch.commit({"a.yaml": file.read_text()}, [], domain="example.org") == []
    assert (origin.work / ".git/refs/heads/more").exists()


# What a commit can carry, when its repository is followed.


def test_programs_of_the_machine_are_not_run_for_a_commit(
    origin: Origin, canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = hostile.configuration(canary, bare=False)
    kept = evil[evil.index("[log]") :].replace("required = true", "required = false")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text(
        f"[core]\n\thooksPath = {canary.program.parent}/hooks\n{kept}"
    )
    commit = origin.commit({".gitattributes": hostile.ATTRIBUTES, "tasks.d/b.yaml": task("two")})
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    assert (made.root / "b.yaml").read_text() == task("two")
    assert head_revision(made.root) == commit


def test_submodules_are_never_asked_for(origin: Origin, canary: Canary, tmp_path: Path) -> None:
    modules = (
        f'[submodule "evil"]\n\tpath = tasks.d/sub\n\turl = ext::{canary.program} %S\n'
        f"\tupdate = !{canary.program}\n\tignore = none\n"
        '[submodule "../../hooks"]\n\tpath = -u\n\turl = --upload-pack=evil\n'
    )
    (origin.work / ".gitmodules").write_text(modules)
    for path in ("tasks.d/sub", "tasks.d/-u"):
        cache = f"160000,{hostile.NOWHERE},{path}"
        origin.git("update-index", "--add", "--cacheinfo", cache)
    origin.git("add", ".gitmodules")
    origin.git("commit", "--quiet", "--message", "modules")
    origin.git("push", "--quiet", "origin", "main")
    commit = origin.git("rev-parse", "HEAD")
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    assert sorted(os.listdir(made.root)) == ["-u", "a.yaml", "sub"]
    assert Folder(made.root, lambda *_: None).scan({}).declared.tasks.keys() == {"a"}
    assert blame_lines(made.root, "a.yaml", [1])[1] is not None


@pytest.mark.parametrize("name", [".git", ".GIT", ".Git", "git~1", ".g\u200cit"])
def test_a_commit_with_a_repository_in_it_does_not_go_live(
    origin: Origin, canary: Canary, tmp_path: Path, name: str
) -> None:
    made = checkout(origin, tmp_path)
    good = made.pull().live
    blobs = {
        file: hostile.git(origin.bare, "hash-object", "-w", "--stdin", given=text.encode())
        for file, text in hostile.bare_repository(canary).items() if "/" not in file
    }  # fmt: skip
    inner = hostile.make_tree(
        origin, [f"100644 blob {blob}\t{file}" for file, blob in blobs.items()]
    )
    tasks = hostile.git(origin.bare, "ls-tree", "main:tasks.d").splitlines()
    below = hostile.make_tree(origin, [*tasks, f"040000 tree {inner}\t{name}"])
    listed = f"040000 tree {below}\ttasks.d"
    tree = hostile.make_tree(origin, [listed])
    commit = hostile.git(origin.bare, "commit-tree", tree, "-p", "main", "-m", "m")
    hostile.git(origin.bare, "update-ref", "refs/heads/main", commit)
    pulled = made.pull()
    assert (pulled.wanted, pulled.live) == (commit, good)
    assert "invalid path" in str(pulled.problem)
    assert (made.root / "a.yaml").read_text() == task("one")


def test_links_lead_nowhere_else(origin: Origin, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.yaml").write_text("password: hunter2\n")
    (outside / "own.yaml").write_text(task("own"))
    before = os.stat(outside / "own.yaml")
    links = {
        "abs.yaml": str(outside / "secret.yaml"),
        "up.yaml": "../../../../outside/secret.yaml",
        "dir": str(outside),
        "proc": "/proc/self/cwd",
        "clone": "../../../clone.git",
        "dotgit": "../.git",
        "through.yaml": "dir/own.yaml",
        "loop": "loop",
        "\x1b[31m\n.yaml": "/etc/passwd",
    }
    for name, target in links.items():
        (origin.work / "tasks.d" / name).symlink_to(target)
    os.symlink(b"/etc/passwd", os.fsencode(origin.work / "tasks.d") + b"/\xff.yaml")
    commit = origin.commit()
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    seen = Folder(made.root, lambda *_: None).scan({})
    assert seen.declared.tasks.keys() == {"a"}
    assert "hunter2" not in repr(seen.declared.faults)
    assert os.stat(outside / "own.yaml").st_mtime_ns == before.st_mtime_ns
    assert not (made.root / "clone" / "config").exists()


def test_the_folder_of_task_files_may_be_a_link_that_leads_out(
    origin: Origin, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.yaml").write_text(task("two"))
    (origin.work / "other").symlink_to(outside)
    origin.commit()
    made = checkout(origin, tmp_path, "other")
    assert "has no folder 'other'" in str(made.pull().problem)
    assert not made.root.exists()


def test_names_of_files_are_only_names(origin: Origin, tmp_path: Path) -> None:
    names = ["-rf.yaml", "--help.yaml", "a b\n\t'\".yaml", "$(id).yaml", "\x1b]0;x.yaml", "x" * 250]
    for name in names:
        (origin.work / "tasks.d" / name).write_text(task("two"))
    Path(os.fsdecode(os.fsencode(origin.work / "tasks.d") + b"/\xff\xfe.yaml")).write_text("x")
    commit = origin.commit()
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    assert "a" in Folder(made.root, lambda *_: None).scan({}).declared.tasks
    assert blame_lines(made.root, "-rf.yaml", [1])[1] is not None
    found = files_at(made.root, "HEAD")
    assert found is not None and "-rf.yaml" in found.texts
    assert [fault.reason for fault in found.faults] == [
        "the file's name, or its folder's, is not UTF-8"
    ]


def test_files_of_lfs_stay_pointers(origin: Origin, canary: Canary, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit = origin.commit(
        {
            ".gitattributes": "*.yaml filter=lfs diff=lfs merge=lfs -text\n",
            ".lfsconfig": f"[lfs]\n\turl = ext::{canary.program}\n",
            "tasks.d/big.yaml": pointer,
        }
    )
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    assert (made.root / "big.yaml").read_text() == pointer


def test_what_stands_for_another_object_is_not_taken(origin: Origin, tmp_path: Path) -> None:
    first = origin.git("rev-parse", "HEAD")
    commit = origin.commit({"tasks.d/a.yaml": task("two")})
    for place in (origin.bare, origin.work):
        hostile.git(place, "replace", commit, first)
    assert files_at(origin.work / "tasks.d", "HEAD") == files_at(origin.work / "tasks.d", commit)
    found = files_at(origin.work / "tasks.d", commit)
    assert found is not None and found.texts["a.yaml"] == task("two").encode()
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    assert (made.root / "a.yaml").read_text() == task("two")


# What unfolds to more than there is room for.


def test_a_commit_of_too_many_files_does_not_go_live(origin: Origin, tmp_path: Path) -> None:
    made = checkout(origin, tmp_path, most_files=200)
    good = made.pull().live
    blob = hostile.git(origin.bare, "hash-object", "-w", "--stdin", given=b"name: x\n")
    tree = hostile.make_tree(origin, [f"100644 blob {blob}\t{n}.yaml" for n in range(10)])
    for _ in range(8):  # a hundred million files, and each tree is stored once
        tree = hostile.make_tree(origin, [f"040000 tree {tree}\t{n}" for n in range(10)])
    commit = hostile.commit_tree_below(origin, "bomb", tree)
    pulled = made.pull()
    assert (pulled.wanted, pulled.live) == (commit, good)
    assert "too many files" in str(pulled.problem)
    hostile.git(origin.bare, "update-ref", "refs/heads/main", str(good))
    small = hostile.make_tree(origin, [f"100644 blob {blob}\t{n}.yaml" for n in range(200)])
    hostile.commit_tree_below(origin, "many", small)
    assert "has more than 200 files" in str(made.pull(confirmed=True).problem)


def test_a_commit_that_is_too_large_does_not_go_live(origin: Origin, tmp_path: Path) -> None:
    made = checkout(origin, tmp_path, most_bytes=1_000_000)
    good = made.pull().live
    hostile.commit_entries(origin, {"zeros": b"\0" * 2_000_000})
    pulled = made.pull()
    assert pulled.live == good
    assert "more than 1000000 bytes" in str(pulled.problem)


def test_folders_without_end_do_not_go_live(origin: Origin, tmp_path: Path) -> None:
    made = checkout(origin, tmp_path)
    good = made.pull().live
    blob = hostile.git(origin.bare, "hash-object", "-w", "--stdin", given=b"name: x\n")
    tree = hostile.make_tree(origin, [f"100644 blob {blob}\ta.yaml"])
    for _ in range(150):
        tree = hostile.make_tree(origin, [f"040000 tree {tree}\td"])
    hostile.commit_tree_below(origin, "deep", tree)
    pulled = made.pull()
    assert pulled.live == good
    assert "folders more than 100 deep" in str(pulled.problem)


def test_a_large_file_is_a_fault_of_its_own(origin: Origin) -> None:
    zeros = "x" * (1024 * 1024 + 1)
    origin.commit({"tasks.d/large.yaml": zeros})
    found = files_at(origin.work / "tasks.d", "HEAD")
    assert found is not None and found.texts.keys() == {"a.yaml"}
    ((path, reason),) = [(fault.path, fault.reason) for fault in found.faults]
    assert (path, reason) == (
        "large.yaml", "the file has 1048577 bytes; at most 1 MiB (1048576) is taken"
    )  # fmt: skip


def test_a_message_without_end_hides_no_other(origin: Origin, tmp_path: Path) -> None:
    tree = hostile.git(origin.bare, "rev-parse", "main^{tree}")
    first = hostile.git(origin.bare, "rev-parse", "main")
    text = b"x" * 17 * 1024 * 1024
    commit = hostile.git(
        origin.bare, "commit-tree", tree, "-p", first, "-F", "-", given=text
    )  # fmt: skip
    hostile.git(origin.bare, "update-ref", "refs/heads/main", commit)
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    later, earlier = last_commits(made.root)
    assert (later.name, earlier.name) == (commit, first)
    assert 200 < len(later.subject) <= 300
    author = blame_lines(made.root, "a.yaml", [1])[1]
    assert author is not None and author.commit == first


# The copy of a repository lies in the tasks folder, which may stand in a repository too.


def test_a_copy_that_somebody_else_made_beforehand(
    origin: Origin, canary: Canary, tmp_path: Path
) -> None:
    clone = tmp_path / "copy" / "clone.git"
    hostile.write(clone, {**hostile.bare_repository(canary), "commondir": "../evil\n"})
    hostile.write(tmp_path / "copy" / "evil", hostile.bare_repository(canary))
    for hook in ("post-checkout", "reference-transaction"):
        (clone / "hooks").mkdir(exist_ok=True)
        (clone / "hooks" / hook).symlink_to(canary.program)
    commit = origin.commit({".gitattributes": hostile.ATTRIBUTES})
    made = checkout(origin, tmp_path)
    assert made.pull().live == commit
    assert canary.program.name not in (clone / "config").read_text()


def test_a_copy_whose_configuration_is_a_link(
    origin: Origin, canary: Canary, tmp_path: Path
) -> None:
    clone = tmp_path / "copy" / "clone.git"
    clone.mkdir(parents=True)
    theirs = tmp_path / "theirs"
    theirs.write_text(hostile.configuration(canary, bare=True))
    (clone / "config").symlink_to(theirs)
    made = checkout(origin, tmp_path)
    assert made.pull().problem is None
    assert stat.S_ISREG(os.lstat(clone / "config").st_mode)
    assert "evil" in theirs.read_text()


@pytest.mark.parametrize("name", ["--upload-pack=evil", "-x", "@{-1}", "a..b", "a b", ""])
def test_names_of_branches_are_only_names(
    origin: Origin, canary: Canary, tmp_path: Path, name: str
) -> None:
    with pytest.raises(Exception, match="can't be the name of a branch"):
        Branch(origin.work / "tasks.d", name)
    with pytest.raises(GitError):
        Remote(tmp_path / "clone.git", origin.url).fetch(name)


@pytest.mark.parametrize("name", ["--output=/tmp/x", "-h", "--all", "HEAD\0", "a:b", "HEAD --"])
def test_names_of_commits_are_only_names(origin: Origin, name: str) -> None:
    tree = find_work_tree(origin.work / "tasks.d")
    assert tree is not None
    try:
        assert tree.revision(name) is None
    except GitError as error:
        assert "null byte" in str(error)
