"""A repository elsewhere, and the copy of it: in time, without asking, and with no secret shown."""

import os
import re
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog

from taskservice.sync.gitrepo.git import END_SECONDS, OUTPUT_BYTES, GitRefused, run_git

FIRST_SECONDS = 600.0
"""How long git may take to fetch the whole repository."""

GIT_SECONDS = 60.0
"""The same for what is new in it, and for anything else."""

_PROTOCOLS = "file:git:http:https:ssh"
_OPTIONS = (
    "core.autocrlf=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=20",
)

# The copy's own configuration: git does what it says. A copy with another one is made anew.
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_HEAD = "ref: refs/heads/none\n"

# Command lines and files of configuration can be read by others; a process's variables can't.
_ANSWER = (
    "!answer() { test \"$1\" != get || printf 'username=%s\\npassword=%s\\n' "
    '"$GIT_FETCH_USER" "$GIT_FETCH_PASSWORD"; }; answer'
)

log = structlog.get_logger()


class Remote:
    """Runs git in the bare repository `clone`, whose commits come from `url`.

    `url` may hold a user and a password. A command may take `seconds`, a first fetch
    `first_seconds`. All blocks, and raises `GitError`; `end`, from another thread, ends it.
    """

    def __init__(
        self,
        clone: Path,
        url: str,
        *,
        seconds: float = GIT_SECONDS,
        first_seconds: float = FIRST_SECONDS,
        end_seconds: float = END_SECONDS,
    ) -> None:
        self._clone = clone
        self._url, user, password = _split(url)
        self._seconds = seconds
        self._first_seconds = first_seconds
        self._end_seconds = end_seconds
        self._ended = threading.Event()
        # What a fetch is run with, beside what all is.
        self._options: list[str] = []
        self._variables = {"GIT_ALLOW_PROTOCOL": _PROTOCOLS}
        # A user without a password is a token.
        secret = password or user
        self._secrets = [one for one in (secret, unquote(secret)) if one]
        if secret:
            parts = urlsplit(self._url)
            helper = f"credential.{parts.scheme}://{parts.netloc}.helper"
            self._options += [f"{helper}=", f"{helper}={_ANSWER}"]
            self._variables["GIT_FETCH_USER"] = unquote(user)
            self._variables["GIT_FETCH_PASSWORD"] = unquote(password)

    def end(self) -> None:
        """Have what runs fail soon, and all else until `begin`."""
        self._ended.set()

    def begin(self) -> None:
        """Let commands be run again."""
        self._ended.clear()

    def fetch(self, branch: str, *, first: bool = False) -> str:
        """Fetch the branch into the clone, which is made if there is none; the commit it is at.

        Raises OSError too.
        """
        new = self._prepare()
        seconds = self._first_seconds if first or new else self._seconds
        ref = f"refs/remotes/origin/{branch}"
        self._run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
            "--", self._url, f"+refs/heads/{branch}:{ref}", seconds=seconds, fetches=True,
        )  # fmt: skip
        return self.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()

    def _prepare(self) -> bool:
        """Make the clone, unless it is there as this made it; whether it is new."""
        config = self._clone / "config"
        try:
            if not os.path.islink(config) and config.read_text() == _CONFIG:
                (self._clone / "commondir").unlink(missing_ok=True)  # would name another one
                return False
        except (FileNotFoundError, UnicodeDecodeError):
            pass
        if os.path.lexists(self._clone):
            log.warning("clone_made_anew", path=str(self._clone))
            shutil.rmtree(self._clone)
        for folder in ("objects", "refs"):
            (self._clone / folder).mkdir(parents=True)
        (self._clone / "HEAD").write_text(_HEAD)
        config.write_text(_CONFIG)  # the last, for it says that all is there
        return True

    def says(self, *arguments: str) -> bytes | None:
        """What a command says, or None where it says no. Raises `GitError` for anything else."""
        try:
            return self.run(*arguments)
        except GitRefused:
            return None

    def run(
        self,
        *arguments: str,
        limit: int = OUTPUT_BYTES,
        options: Iterable[str] = (),
        variables: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> bytes:
        """What a command in the clone says; it speaks to no other machine.

        `options` and `variables` are as in `run_git`; it may take `seconds`, if they are given.
        """
        return self._run(
            *arguments, limit=limit, options=options, variables=variables, seconds=seconds
        )

    def _run(
        self,
        *arguments: str,
        seconds: float | None = None,
        fetches: bool = False,
        limit: int = OUTPUT_BYTES,
        options: Iterable[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        return run_git(
            *arguments, git_dir=self._clone,
            options=(*_OPTIONS, *(self._options if fetches else ()), *options),
            variables=self._variables if fetches else variables, as_user=fetches,
            secrets=self._secrets, seconds=self._seconds if seconds is None else seconds,
            end_seconds=self._end_seconds, limit=limit, ended=self._ended,
        )  # fmt: skip


def _split(url: str) -> tuple[str, str, str]:
    """A URL of http(s) without user and password, and these as they stand; others are as given."""
    if not re.match("https?://[^/]*@", url):
        return url, "", ""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, parts.username or "", parts.password or ""
