"""The checkout of a branch's head: swapped whole, by fast-forward, with the last good kept."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from taskservice.sync.folder.confined import LEADS_OUT
from taskservice.sync.folder.reading import Folder
from taskservice.sync.gitrepo.checkout import Checkout
from taskservice.sync.gitrepo.head import head_revision
from tests.origin import Origin, task


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "elsewhere")
    made.commit({"tasks.d/a.yaml": task("one"), "README": "no task"})
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "service" / ".repository"


@pytest.fixture
def checkout(origin: Origin, folder: Path) -> Checkout:
    return make(origin, folder)


def make(
    origin: Origin, folder: Path, path: str = "tasks.d", branch: str = "main", **more: float
) -> Checkout:
    return Checkout(folder, url=origin.url, branch=branch, path=path, **more)  # type: ignore[arg-type]


def trees(folder: Path) -> set[str]:
    return {tree.name for tree in (folder / "commits").iterdir()}


def test_the_head_of_the_branch_becomes_live(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    assert checkout.live() is None
    for number in range(4):
        before = checkout.live()
        commit = origin.commit({"tasks.d/a.yaml": task(str(number))})
        pulled = checkout.pull()
        assert (pulled.wanted, pulled.live, pulled.problem) == (commit, commit, None)
        assert (checkout.root / "a.yaml").read_text() == task(str(number))
        assert head_revision(checkout.root) == commit
        assert trees(folder) == {commit, before} - {None}
    assert checkout.pull() == pulled
    # What git tidies up by itself now and then leaves them alone.
    prune = ("worktree", "prune", "--expire", "now")
    Origin.git_in(folder, f"--git-dir={folder}/clone.git", *prune)
    assert head_revision(checkout.root) == commit


def test_a_commit_is_blamed_on_its_author(origin: Origin, checkout: Checkout) -> None:
    checkout.pull()
    tree = Path(os.path.realpath(checkout.root))
    blamed = Origin.git_in(tree, "blame", "--porcelain", "a.yaml")
    assert "author Ann" in blamed


def test_a_scan_sees_one_commit_and_all_of_it(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    """Every file of a commit says the same word: a half checkout would say two."""
    files = [f"tasks.d/{number}.yaml" for number in range(40)]

    def commit(word: str) -> None:
        origin.commit({name: task(word).rstrip("\n") for name in files})

    origin.commit({"tasks.d/a.yaml": None})
    commit("0")
    checkout.pull()
    over = threading.Event()
    words: list[set[str]] = []

    def scan() -> None:
        reader = Folder(checkout.root, lambda *_: None)
        while not over.is_set():
            seen = reader.scan({})
            assert not seen.unsettled
            assert len(seen.declared.tasks) == len(files)
            words.append({str(c.declaration.fields["name"]) for c in seen.declared.tasks.values()})

    failure: list[BaseException] = []

    def watched() -> None:
        try:
            scan()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    try:
        for number in range(1, 6):
            commit(str(number))
            assert checkout.pull().problem is None
    finally:
        over.set()
        thread.join()
    assert failure == []
    assert [word for word in words if len(word) != 1] == []
    assert len(set().union(*words)) > 1


def test_a_rewritten_branch_waits_until_it_is_confirmed(origin: Origin, checkout: Checkout) -> None:
    good = origin.commit({"tasks.d/a.yaml": task("good")})
    checkout.pull()
    other = origin.commit({"tasks.d/a.yaml": task("other")}, amend=True)
    for _ in range(2):
        pulled = checkout.pull()
        assert (pulled.wanted, pulled.live) == (other, good)
        assert pulled.problem is not None
        assert "was rewritten" in pulled.problem and "POST /sync?prune=true" in pulled.problem
    assert (checkout.root / "a.yaml").read_text() == task("good")
    pulled = checkout.pull(confirmed=True)
    assert (pulled.wanted, pulled.live, pulled.problem) == (other, other, None)


def test_a_branch_put_back_is_one_that_was_rewritten(origin: Origin, checkout: Checkout) -> None:
    first = origin.git("rev-parse", "HEAD")
    later = origin.commit({"tasks.d/a.yaml": task("later")})
    checkout.pull()
    origin.git("reset", "--quiet", "--hard", first)
    origin.git("push", "--quiet", "--force", "origin", "main")
    assert checkout.pull().live == later
    assert checkout.pull(confirmed=True).live == first
    assert head_revision(checkout.root) == first


def test_what_cannot_be_fetched_is_told_and_the_last_good_stays(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    good = checkout.pull().live
    origin.lose()
    pulled = checkout.pull()
    assert (pulled.wanted, pulled.live) == (None, good)
    assert pulled.problem is not None
    assert "does not appear to be a git repository" in pulled.problem
    assert len(pulled.problem.splitlines()) == 1
    # A process that starts anew meanwhile goes on with what is there.
    assert make(origin, folder).live() == good
    origin.find()
    newer = origin.commit({"tasks.d/a.yaml": task("newer")})
    assert checkout.pull().live == newer


def test_a_branch_or_folder_that_is_not_there(origin: Origin, folder: Path) -> None:
    pulled = make(origin, folder, branch="release").pull()
    assert pulled.wanted is pulled.live is None
    assert "couldn't find remote ref refs/heads/release" in str(pulled.problem)
    head = origin.git("rev-parse", "HEAD")
    for path in ("nowhere", "README", "tasks.d/a.yaml"):
        pulled = make(origin, folder, path).pull()
        assert (pulled.wanted, pulled.live) == (head, head)
        assert pulled.problem == f"commit {head[:12]} has no folder {path!r}"
    assert make(origin, folder, path="").pull().problem is None


def test_a_commit_whose_last_file_is_gone_is_taken_without_its_folder(
    origin: Origin, checkout: Checkout
) -> None:
    checkout.pull()
    bare = origin.commit({"tasks.d/a.yaml": None})
    for _ in range(2):
        pulled = checkout.pull()
        assert (pulled.wanted, pulled.live) == (bare, bare)
        assert "has no folder 'tasks.d'" in str(pulled.problem)
    assert not checkout.root.exists()
    assert head_revision(checkout.root) == bare
    mended = origin.commit({"tasks.d/b.yaml": task("b")})
    pulled = checkout.pull()
    assert (pulled.live, pulled.problem) == (mended, None)


def test_links_that_lead_out_of_the_repository_are_cut(
    origin: Origin, tmp_path: Path, checkout: Checkout
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.yaml").write_text(task("secret"))
    tasks = origin.work / "tasks.d"
    (tasks / "passwd.yaml").symlink_to("/etc/passwd")
    (tasks / "secret.yaml").symlink_to(outside / "secret.yaml")
    (tasks / "up.yaml").symlink_to("../../../../../../../../../etc/passwd")
    (tasks / "folder").symlink_to(outside)
    (tasks / "chain.yaml").symlink_to("secret.yaml")
    (tasks / "own.yaml").symlink_to("shared/own.txt")
    (tasks / "beside.yaml").symlink_to("../shared/own.yaml")
    (tasks / "round").symlink_to("../tasks.d")
    origin.commit({"shared/own.yaml": task("own"), "tasks.d/shared/own.txt": task("own")})
    with capture_logs() as logs:
        assert checkout.pull().problem is None
    cut = {line["path"] for line in logs if line["event"] == "link_cut"}
    assert {f"tasks.d/{name}" for name in ("passwd.yaml", "secret.yaml", "up.yaml")} <= cut
    seen = Folder(checkout.root, lambda *_: None).scan({})
    assert seen.declared.tasks.keys() == {"a", "own"}
    assert {(fault.path, fault.reason) for fault in seen.declared.faults} == {
        *(
            (f"{name}.yaml", "is a link that points at nothing")
            for name in ("passwd", "secret", "up", "chain")
        ),
        ("beside.yaml", LEADS_OUT),
    }


def test_submodules_are_not_followed(origin: Origin, tmp_path: Path, checkout: Checkout) -> None:
    other = Origin(tmp_path / "third")
    other.commit({"b.yaml": task("b")})
    add = ("submodule", "--quiet", "add", other.url, "tasks.d/sub")
    origin.git("-c", "protocol.file.allow=always", *add)
    for _ in range(3):
        commit = origin.commit()
        assert checkout.pull().live == commit
    assert list((checkout.root / "sub").iterdir()) == []
    assert head_revision(checkout.root) == commit


def test_hooks_of_the_machine_are_not_run(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert checkout.pull().problem is None
    assert not (tmp_path / "ran").exists()


def test_git_is_not_led_to_a_command(
    origin: Origin, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[url "ext::touch {tmp_path}/ran %S"]\n\tinsteadOf = {origin.url}\n'
        "[protocol]\n\tallow = always\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert "'ext' not allowed" in str(make(origin, folder).pull().problem)
    assert not (tmp_path / "ran").exists()


def test_what_a_kill_left_behind_is_no_hindrance(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    checkout.pull()
    commit = origin.commit({"tasks.d/a.yaml": task("next")})
    half = folder / "commits" / f".{commit}-half"
    half.mkdir()
    (half / "half.yaml").write_text("name: [half\n")
    (folder / "live.new").symlink_to("nowhere")
    lock = folder / "clone.git/refs/remotes/origin/main.lock"
    lock.touch()
    os.utime(lock, (time.time() - 3600, time.time() - 3600))
    assert "File exists" in str(checkout.pull().problem)
    assert checkout.pull().live == commit
    assert sorted(os.listdir(checkout.root)) == ["a.yaml"]
    assert not half.exists()


def test_what_a_broken_fetch_had_received_is_removed(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    good = checkout.pull().live
    half = folder / "clone.git/objects/pack/tmp_pack_x1y2z3"
    half.parent.mkdir(exist_ok=True)
    half.touch()
    origin.lose()
    assert checkout.pull().live == good
    assert not half.exists()


def test_the_copy_may_be_deleted_at_any_time(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    commit = checkout.pull().live
    shutil.rmtree(folder)
    assert checkout.live() is None
    assert checkout.pull().live == commit


def test_two_processes_do_not_pull_into_one_folder(
    origin: Origin, folder: Path, checkout: Checkout
) -> None:
    checkout.pull()
    with make(origin, folder)._alone():
        assert "another process is at work" in str(checkout.pull().problem)
    assert checkout.pull().problem is None


def test_a_folder_that_cannot_be_written_is_told(origin: Origin, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file")
    pulled = make(origin, folder).pull()
    assert pulled.live is None
    assert pulled.problem == f"{folder}/commits: Not a directory"


def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str = "") -> Path:
    """A git that hangs; the file that it makes first."""
    program, begun = tmp_path / "bin/git", tmp_path / "begun"
    program.parent.mkdir()
    program.write_text(f"#!/bin/bash\n{trap}\n: > {begun}\nwhile :; do /bin/sleep 1; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return begun


@pytest.mark.parametrize("trap", ["", "trap '' TERM"])
def test_git_has_its_time(
    origin: Origin, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    hanging(tmp_path, monkeypatch, trap)
    checkout = make(origin, folder, first_seconds=0.2, end_seconds=0.2)
    assert checkout.pull().problem == "git took longer than 0.2 seconds"


def test_a_pull_is_broken_off(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = hanging(tmp_path, monkeypatch)
    problems: list[str | None] = []
    thread = threading.Thread(target=lambda: problems.append(checkout.pull().problem))
    thread.start()
    limit = time.monotonic() + 10
    while not begun.exists() and time.monotonic() < limit:
        time.sleep(0.01)
    checkout.end()
    thread.join(10)
    assert problems == ["the service was stopping"]
    assert checkout.pull().problem == "the service was stopping"
    monkeypatch.undo()
    checkout.begin()
    assert checkout.pull().problem is None


def test_there_is_no_git(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert checkout.pull().problem == "git can't be run: No such file or directory"
