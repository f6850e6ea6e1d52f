"""Only commits of allowed signers go live: with real keys of ssh-keygen(1) and of gpg(1)."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from taskservice.sync.gitrepo.checkout import Checkout
from tests.origin import Origin, task

ANN, EVE = "ann@example.org", "eve@example.org"
Sign = Callable[..., str]


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "elsewhere")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with the SSH keys of two people."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in (ANN, EVE):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
    return folder


@pytest.fixture
def signers(tmp_path: Path, keys: Path) -> Path:
    """The file that allows one of them."""
    file = tmp_path / "allowed_signers"
    file.write_text(allowed(keys, ANN))
    return file


@pytest.fixture
def checkout(tmp_path: Path, origin: Origin, signers: Path) -> Checkout:
    folder = tmp_path / "service" / ".repository"
    return Checkout(folder, url=origin.url, branch="main", path="tasks.d", signers=signers)


def run(*command: str, **environ: str) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **environ}
    )
    return done.stdout


def allowed(keys: Path, name: str) -> str:
    return f'{name} namespaces="git" {(keys / f"{name}.pub").read_text()}'


def by_ssh(origin: Origin, key: Path | None) -> None:
    """Have the next commits signed by a key, or by none."""
    origin.git("config", "commit.gpgSign", "false" if key is None else "true")
    origin.git("config", "gpg.format", "ssh")
    origin.git("config", "user.signingKey", str(key))


def test_only_what_an_allowed_signer_signed_goes_live(
    origin: Origin, keys: Path, checkout: Checkout
) -> None:
    by_ssh(origin, keys / ANN)
    good = origin.commit({"tasks.d/a.yaml": task("one")})
    assert (checkout.pull().live, checkout.pull().problem) == (good, None)
    by_ssh(origin, keys / EVE)
    foreign = origin.commit({"tasks.d/a.yaml": task("two")})
    pulled = checkout.pull()
    assert (pulled.wanted, pulled.live) == (foreign, good)
    assert pulled.problem and pulled.problem.startswith(
        f"commit {foreign[:12]} by Ann is signed by nobody who is allowed to (key SHA256:"
    )
    assert (checkout.root / "a.yaml").read_text() == task("one")


def test_each_commit_since_the_live_one_must_be_signed(
    origin: Origin, keys: Path, checkout: Checkout
) -> None:
    by_ssh(origin, keys / ANN)
    good = origin.commit({"tasks.d/a.yaml": task("one")})
    assert checkout.pull().live == good
    by_ssh(origin, None)
    unsigned = origin.commit({"tasks.d/b.yaml": task("hidden")})
    by_ssh(origin, keys / ANN)
    head = origin.commit({"tasks.d/a.yaml": task("two")})
    pulled = checkout.pull()
    assert (pulled.wanted, pulled.live) == (head, good)
    assert pulled.problem == f"commit {unsigned[:12]} by Ann is not signed"
    # Nor does it help to confirm it, as a rewritten branch is.
    assert checkout.pull(confirmed=True).live == good


def test_a_commit_that_was_merged_must_be_signed_too(
    origin: Origin, keys: Path, checkout: Checkout
) -> None:
    by_ssh(origin, keys / ANN)
    good = origin.commit({"tasks.d/a.yaml": task("one")})
    assert checkout.pull().live == good
    by_ssh(origin, None)
    origin.git("checkout", "--quiet", "-b", "side")
    (origin.work / "tasks.d" / "b.yaml").write_text(task("side"))
    origin.git("add", "--all")
    origin.git("commit", "--quiet", "--message", "side")
    side = origin.git("rev-parse", "HEAD")
    by_ssh(origin, keys / ANN)
    origin.git("checkout", "--quiet", "main")
    origin.git("merge", "--quiet", "--no-ff", "--message", "merge", "side")
    origin.git("push", "--quiet", "origin", "main")
    pulled = checkout.pull()
    assert (pulled.live, pulled.problem) == (good, f"commit {side[:12]} by Ann is not signed")


def test_who_is_allowed_is_read_anew(
    origin: Origin, keys: Path, signers: Path, checkout: Checkout
) -> None:
    by_ssh(origin, keys / EVE)
    commit = origin.commit({"tasks.d/a.yaml": task("one")})
    assert checkout.pull().live is None
    signers.write_text(allowed(keys, ANN) + allowed(keys, EVE))
    assert checkout.pull().live == commit
    later = origin.commit({"tasks.d/a.yaml": task("two")})
    signers.unlink()
    pulled = checkout.pull()
    assert (pulled.wanted, pulled.live) == (later, commit)
    assert pulled.problem == (
        "the file of allowed signers can't be read: No such file or directory"
    )
    signers.write_bytes(b"\0" * 100 + b"\n")
    assert checkout.pull().live == commit
    signers.write_text("#" * (1024 * 1024 + 1))
    assert "has more than" in (checkout.pull().problem or "")


def test_a_signature_of_another_commit_is_none(
    origin: Origin, keys: Path, checkout: Checkout
) -> None:
    by_ssh(origin, keys / ANN)
    good = origin.commit({"tasks.d/a.yaml": task("one")})
    assert checkout.pull().live == good
    signed = origin.commit({"tasks.d/a.yaml": task("two")})
    raw = run("git", "-C", str(origin.work), "cat-file", "commit", signed)
    (origin.work / "tasks.d" / "a.yaml").write_text(task("forged"))
    origin.git("add", "--all")
    tree = origin.git("write-tree")
    forged_text = raw.replace(raw.splitlines()[0], f"tree {tree}", 1)
    draft = origin.work.parent / "forged"
    draft.write_text(forged_text)
    forged = origin.git("hash-object", "-t", "commit", "-w", str(draft))
    origin.git("push", "--quiet", "--force", "origin", f"{forged}:refs/heads/main")
    pulled = checkout.pull()
    assert (pulled.wanted, pulled.live) == (forged, good)
    assert pulled.problem == f"commit {forged[:12]} by Ann has a signature that is not its own"


def test_an_openpgp_key_in_the_file_is_one_more_signer(
    tmp_path: Path, origin: Origin, signers: Path, checkout: Checkout
) -> None:
    # Short: a socket's path lies in it.
    homes = {name: tmp_path / name[:3] for name in (ANN, EVE)}
    keys = {}
    for name, home in homes.items():
        home.mkdir(mode=0o700)
        gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "")
        run(*gpg, "--quick-generate-key", name, "ed25519", "sign", "never")
        keys[name] = run(*gpg, "--armor", "--export", name)
    wrapper = tmp_path / "gpg-of-the-committer"
    origin.git("config", "commit.gpgSign", "true")
    origin.git("config", "gpg.program", str(wrapper))

    def by_gpg(name: str) -> None:
        wrapper.write_text(f'#!/bin/sh\nexec gpg --homedir "{homes[name]}" --batch "$@"\n')
        wrapper.chmod(0o755)
        origin.git("config", "user.signingKey", name)

    by_gpg(ANN)
    commit = origin.commit({"tasks.d/a.yaml": task("one")})
    # The file has no such key yet: gpg is not asked at all.
    assert checkout.pull().live is None
    signers.write_text(f"{signers.read_text()}\n# of Ann\n{keys[ANN]}")
    assert (checkout.pull().live, checkout.pull().problem) == (commit, None)
    by_gpg(EVE)
    foreign = origin.commit({"tasks.d/a.yaml": task("two")})
    pulled = checkout.pull()
    assert (pulled.wanted, pulled.live) == (foreign, commit)
    assert "is signed by nobody who is allowed to" in (pulled.problem or "")
    signers.write_text(keys[ANN].replace("=", "!", 1))
    assert checkout.pull().live == commit
    for home in homes.values():
        run("gpgconf", "--homedir", str(home), "--kill", "all")


def test_no_program_of_the_repositorys_choice_is_run(
    tmp_path: Path, origin: Origin, keys: Path, checkout: Checkout
) -> None:
    """The name of the author is anybody's text, and so is the signature."""
    by_ssh(origin, keys / ANN)
    good = origin.commit({"tasks.d/a.yaml": task("one")})
    assert checkout.pull().live == good
    canary = tmp_path / "canary"
    by_ssh(origin, None)
    origin.commit({"tasks.d/a.yaml": task("two")})
    author = f"Eve\x1b[2J$(touch {canary}){'x' * 300} <eve@example.org>"
    origin.git("commit", "--quiet", "--amend", "--no-edit", f"--author={author}")
    origin.git("push", "--quiet", "--force", "origin", "main")
    commit = origin.git("rev-parse", "HEAD")
    problem = checkout.pull().problem or ""
    assert problem.startswith(f"commit {commit[:12]} by Eve?[2J$(touch ")
    assert problem.endswith(".. is not signed")
    assert problem.isprintable() and len(problem) < 200
    assert not canary.exists()
