"""Git commands about a repository elsewhere: in time, without asking, and with no secret shown."""

import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from taskservice.sync.git import environment

FIRST_SECONDS = 600.0
"""How long git may take to fetch the whole repository."""

GIT_SECONDS = 60.0
"""The same for what is new in it, and for anything else."""

END_SECONDS = 2.0
"""How long git may take to put its things in order when it is ended."""

LONGEST_REASON = 400

_PROTOCOLS = "file:git:http:https:ssh"
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=20",
    # Files of LFS stay the pointers that they are in git.
    "filter.lfs.process=",
    "filter.lfs.smudge=",
    "filter.lfs.required=false",
)

# Command lines and files of configuration can be read by others; a process's variables can't.
_ANSWER = (
    "!answer() { test \"$1\" != get || printf 'username=%s\\npassword=%s\\n' "
    '"$TASKSERVICE_GIT_USER" "$TASKSERVICE_GIT_PASSWORD"; }; answer'
)


class GitError(Exception):
    """Why git did not do what it should; its text is one line, and holds no password."""


class GitRefused(GitError):
    """Git ended by itself, with another status than 0."""


class Remote:
    """Runs git in the bare repository `clone`, whose commits come from `url`.

    `url` may hold a user and a password. All blocks; `end`, from another thread, ends it.
    """

    def __init__(self, clone: Path, url: str) -> None:
        self._clone = clone
        self._url, user, password = _split(url)
        self._options = list(_OPTIONS)
        self._variables = {"GIT_ALLOW_PROTOCOL": _PROTOCOLS}
        # A user without a password is a token.
        secret = password or user
        self._secrets = [one for one in (secret, unquote(secret)) if one]
        if secret:
            parts = urlsplit(self._url)
            helper = f"credential.{parts.scheme}://{parts.netloc}.helper"
            self._options += [f"{helper}=", f"{helper}={_ANSWER}"]
            self._variables["TASKSERVICE_GIT_USER"] = unquote(user)
            self._variables["TASKSERVICE_GIT_PASSWORD"] = unquote(password)
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()

    def end(self) -> None:
        """Have what runs fail soon, and all else until `begin`."""
        self._ended.set()
        if process := self._process:
            _signal(process, signal.SIGTERM)

    def begin(self) -> None:
        """Let commands be run again."""
        self._ended.clear()

    def fetch(self, branch: str, *, seconds: float = GIT_SECONDS) -> str:
        """Fetch the branch into the clone, which is made if there is none; the commit it is at."""
        self._run(["git", "init", "--quiet", "--bare", "--template=", str(self._clone)])
        ref = f"refs/remotes/origin/{branch}"
        self.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
            "--", self._url, f"+refs/heads/{branch}:{ref}", seconds=seconds,
        )  # fmt: skip
        return self.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    def says(self, *arguments: str) -> str | None:
        """What a command says, or None where it says no. Raises `GitError` for anything else."""
        try:
            return self.run(*arguments)
        except GitRefused:
            return None

    def run(self, *arguments: str, seconds: float = GIT_SECONDS) -> str:
        """What a command in the clone says; raises `GitError`."""
        options = [part for option in self._options for part in ("-c", option)]
        return self._run(["git", *options, f"--git-dir={self._clone}", *arguments], seconds)

    def _run(self, command: list[str], seconds: float = GIT_SECONDS) -> str:
        try:
            # A session of its own: there is no terminal to ask on, and one group to end.
            process = subprocess.Popen(
                command, env=environment() | self._variables, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise GitError(f"git can't be run: {error.strerror}") from None
        with process:
            self._process = process
            try:
                if self._ended.is_set():
                    _signal(process, signal.SIGTERM)
                output, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                _end(process)
                raise GitError(f"git took longer than {seconds:g} seconds") from None
            finally:
                self._process = None
        if self._ended.is_set():
            raise GitError("the service was stopping")
        if process.returncode:
            raise GitRefused(self._reason(errors) or f"git ended with {process.returncode}")
        return output.strip()

    def _reason(self, errors: str) -> str:
        """What git complained of, in one line and without secrets."""
        said = errors.partition("Please make sure you have the correct access rights")[0]
        lines = (re.sub(r"^(fatal|error): ", "", line.strip()) for line in said.splitlines())
        text = "; ".join(line for line in lines if line)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"://[^/@\s]*@", "://", text)
        return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _split(url: str) -> tuple[str, str, str]:
    """A URL of http(s) without user and password, and these as they stand; others are as given."""
    if not re.match("https?://[^/]*@", url):
        return url, "", ""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, parts.username or "", parts.password or ""


def _end(process: subprocess.Popen[str]) -> None:
    """End git and what it started; at SIGTERM it removes its locks."""
    _signal(process, signal.SIGTERM)
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.communicate()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # it has just ended
