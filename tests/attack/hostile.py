"""What a repository can carry that would run something: each payload makes a file, the canary."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.origin import Origin

NOWHERE = "1" * 40
"""A commit that no repository has: git would ask the one for it that its configuration names."""


class Canary:
    """A program that makes a file when it is run, in whatever way."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "canary"
        self.program = folder / "payload"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self._file}\ncat\n')
        self.program.chmod(0o755)

    @property
    def sang(self) -> str:
        """How the program was called; empty, if it never was."""
        return self._file.read_text() if self._file.exists() else ""


def configuration(canary: Canary, *, bare: bool) -> str:
    """A repository's configuration of all that makes git run something."""
    run = canary.program
    hooks = run.parent / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "fsmonitor-watchman",
    ):
        (hooks / name).unlink(missing_ok=True)
        (hooks / name).symlink_to(run)
    return f"""\
[core]
    repositoryformatversion = 1
    bare = {str(bare).lower()}
    sshCommand = {run}
    gitProxy = {run}
    askPass = {run}
    fsmonitor = {run}
    hooksPath = {hooks}
    pager = {run}
    editor = {run}
    alternateRefsCommand = {run}
    attributesFile = {run.parent}/attributes
[extensions]
    partialClone = origin
[remote "origin"]
    url = ssh://localhost/nowhere
    promisor = true
    uploadpack = {run}
[url "ext::{run} %S"]
    insteadOf = https://
[protocol]
    allow = always
[credential]
    helper = !{run}
[uploadpack]
    packObjectsHook = {run}
[log]
    showSignature = true
[gpg]
    program = {run}
[gpg "ssh"]
    program = {run}
[diff]
    external = {run}
[diff "evil"]
    textconv = {run}
    command = {run}
[filter "evil"]
    clean = {run}
    smudge = {run}
    process = {run}
    required = true
[alias]
    log = !{run}
    blame = !{run}
[pager]
    log = {run}
    blame = {run}
[gc]
    recentObjectsHook = {run}
[submodule]
    recurse = true
[submodule "evil"]
    active = true
    update = !{run}
[include]
    path = {run.parent}/included
"""


ATTRIBUTES = "* filter=evil diff=evil ident text=auto eol=lf\n"


def bare_repository(canary: Canary) -> dict[str, str]:
    """The files that make a folder look like a bare repository, by their paths in it."""
    return {
        "HEAD": NOWHERE + "\n",
        "config": configuration(canary, bare=True),
        "objects/keep": "",
        "refs/keep": "",
    }


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def git(folder: Path, *arguments: str, given: bytes = b"") -> str:
    """What git says there, with no configuration but the repository's own, and no hook of it."""
    person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *person, *arguments],
        cwd=folder, check=True, capture_output=True, input=given, env={**os.environ, **quiet},
    )  # fmt: skip
    return done.stdout.decode().strip()


def commit_entries(origin: Origin, entries: Mapping[str, bytes], *, mode: str = "100644") -> str:
    """Push a commit to whose tree these are added as they stand, whatever git thinks of them."""
    listed = git(origin.bare, "ls-tree", "main").splitlines() if _has_main(origin) else []
    for name, data in entries.items():
        blob = git(origin.bare, "hash-object", "-w", "--stdin", given=data)
        listed.append(f"{mode} blob {blob}\t{name}")
    return _push_tree(origin, listed)


def commit_tree_below(origin: Origin, name: str, tree: str) -> str:
    """Push a commit with a folder more, whose tree is given."""
    listed = git(origin.bare, "ls-tree", "main").splitlines()
    return _push_tree(origin, [*listed, f"040000 tree {tree}\t{name}"])


def make_tree(origin: Origin, lines: list[str]) -> str:
    """A tree of such lines, as `git ls-tree` prints them, in the bare repository."""
    return git(origin.bare, "mktree", "--missing", given="".join(f"{x}\n" for x in lines).encode())


def _has_main(origin: Origin) -> bool:
    return bool(git(origin.bare, "branch", "--list", "main"))


def _push_tree(origin: Origin, lines: list[str]) -> str:
    tree = make_tree(origin, lines)
    parents = ("-p", "main") if _has_main(origin) else ()
    commit = git(origin.bare, "commit-tree", tree, *parents, "-m", "hostile")
    git(origin.bare, "update-ref", "refs/heads/main", commit)
    return commit
