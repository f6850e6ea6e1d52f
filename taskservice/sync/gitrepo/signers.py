"""Who may sign the commits that go live: a file of theirs, asked by git's own verification.

The file is that of ssh-keygen(1), "ALLOWED SIGNERS". It may hold OpenPGP public keys beside, each
an armoured block: git then has gpg look at signatures with these keys and no others.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskservice.domain.check import printable
from taskservice.sync.gitrepo.git import GitError
from taskservice.sync.gitrepo.remote import FIRST_SECONDS, Remote

LARGEST_FILE = 1024 * 1024
"""Bytes that the file of signers may have."""

GPG_SECONDS = 30.0
"""How long gpg may take to read its keys."""

_BLOCK = re.compile(
    rb"^-----BEGIN PGP PUBLIC KEY BLOCK-----$.*?^-----END PGP PUBLIC KEY BLOCK-----$\n?",
    re.DOTALL | re.MULTILINE,
)
# The keys of the file are those that whoever runs the service trusts; no other is looked for.
_GPG = "batch\nno-tty\ntrust-model always\nno-auto-key-retrieve\nno-auto-key-locate\n"
_NO_PROGRAM = "/nonexistent"
_FORMAT = "%H%x00%G?%x00%<(100,trunc)%an%x00%<(100,trunc)%GF"
_GOOD = "G"
_WHY = {
    "N": "is not signed",
    "B": "has a signature that is not its own",
    "X": "has a signature that has expired",
    "Y": "is signed by a key that has expired",
    "R": "is signed by a key that was revoked",
}


class Signers:
    """The allowed signers in a file, which is read anew each time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        # The last answer, and what it was asked about.
        self._known: tuple[tuple[str, str | None, bytes], str | None] | None = None

    def refusal(self, remote: Remote, wanted: str, before: str | None) -> str | None:
        """Why a commit may not go live after another one; None: it may.

        Each commit that leads to it and not to the one before must be signed by one of them, the
        commit alone where there is none before, or none that is known. Blocks; raises `GitError`.
        """
        try:
            with self._file.open("rb") as opened:
                text = opened.read(LARGEST_FILE + 1)
        except OSError as error:
            return f"the file of allowed signers can't be read: {error.strerror}"
        if len(text) > LARGEST_FILE:
            return f"the file of allowed signers has more than {LARGEST_FILE} bytes"
        asked = wanted, before, hashlib.sha256(text).digest()
        if self._known is None or self._known[0] != asked:
            self._known = asked, _refusal(remote, text, wanted, before)
        return self._known[1]


def _refusal(remote: Remote, text: bytes, wanted: str, before: str | None) -> str | None:
    known = before and remote.says("cat-file", "-e", f"{before}^{{commit}}") is not None
    span = [f"^{before}"] if known else ["--max-count=1"]
    with _verification(text) as (options, variables):
        told = remote.run(
            "log", "--reverse", "-z", f"--format={_FORMAT}", wanted, *span, "--",
            options=options, variables=variables, seconds=FIRST_SECONDS,
        )  # fmt: skip
    fields = [one.strip() for one in told.decode(errors="replace").split("\0")]
    commits = list(zip(*[iter(fields)] * 4, strict=False))
    if not commits:
        return None if known else f"commit {wanted[:12]} can't be looked at"
    for name, verdict, author, key in commits:
        if verdict != _GOOD:
            why = _WHY.get(verdict, "is signed by nobody who is allowed to")
            with_key = f" (key {printable(key)})" if key and verdict not in "NB" else ""
            return f"commit {name[:12]} by {printable(author)} {why}{with_key}"
    return None


@contextmanager
def _verification(text: bytes) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Git's options and variables that have it verify by these signers; raises `GitError`."""
    blocks = _BLOCK.findall(text)
    with tempfile.TemporaryDirectory(prefix="signers-") as folder:
        signers = Path(folder) / "allowed_signers"
        signers.write_bytes(_BLOCK.sub(b"", text))
        options = [
            f"gpg.ssh.allowedSignersFile={signers}",
            f"gpg.ssh.program={_program('ssh-keygen')}",
            f"gpg.x509.program={_NO_PROGRAM}",
            f"gpg.openpgp.program={_program('gpg') if blocks else _NO_PROGRAM}",
        ]
        home = Path(folder) / "gnupg"
        home.mkdir(mode=0o700)
        if blocks:
            (home / "gpg.conf").write_text(_GPG)
            _import(home, b"\n".join(blocks))
        yield options, {"GNUPGHOME": str(home)}


def _import(home: Path, keys: bytes) -> None:
    command = [_program("gpg"), "--homedir", str(home), "--quiet", "--import"]
    try:
        done = subprocess.run(command, input=keys, capture_output=True, timeout=GPG_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        raise GitError("gpg can't be run: it is needed for the OpenPGP keys of the signers") from (
            None
        )
    if done.returncode:
        raise GitError("the file of allowed signers has an OpenPGP key that gpg does not take")


def _program(name: str) -> str:
    """Where a program is; what is not there makes no signature good."""
    return shutil.which(name) or _NO_PROGRAM
