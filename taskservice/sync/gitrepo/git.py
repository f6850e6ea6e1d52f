"""The one place where git is run: in the repository that is named, and by nothing it carries.

Git is a program that obeys files. It takes any folder that looks like a repository for one, and a
repository's configuration and attributes name programs that it runs. So it is never left to find
a repository by itself (see `work_tree`), it gets no variable that it has no use for, and all that
would run something else is turned off.
"""

import os
import re
import resource
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from taskservice.domain.check import printable

SECONDS = 5.0
"""How long git may take where nothing else is said."""

OUTPUT_BYTES = 16 * 1024 * 1024
"""How much it may say."""

FILE_BYTES = 2 * 1024 * 1024 * 1024
"""How large a file it may write; the system ends it there."""

MEMORY_BYTES = 2 * 1024 * 1024 * 1024
"""How much memory it may take, the files aside that it looks into."""

END_SECONDS = 2.0
"""How long it may take to put its things in order when it is ended."""

LONGEST_REASON = 400

_ERROR_BYTES = 64 * 1024
_LOOK_SECONDS = 0.2

_OPTIONS = (
    # What would run something: hooks, monitors, programs that check signatures, and daemons.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "log.showSignature=false",
    "log.mailmap=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    # Repositories and attributes that nobody named.
    "safe.bareRepository=explicit",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "core.attributesFile=/dev/null",
    # Names that are `.git` to another file system.
    "core.protectHFS=true",
    "core.protectNTFS=true",
    # What is large goes through in pieces.
    "core.bigFileThreshold=1m",
)

_ALWAYS = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    # None of them: nothing is asked of another machine unless the caller allows it.
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}
_NO_CONFIGURATION = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    # Git before 2.32 knows no GIT_CONFIG_GLOBAL.
    "HOME": "/dev/null",
}

_PASSED = re.compile("PATH|LD_LIBRARY_PATH|TMPDIR|GIT_EXEC_PATH")
_USERS = re.compile(
    r"HOME|USER|LOGNAME|XDG_CONFIG_HOME|XDG_RUNTIME_DIR|EMAIL"
    r"|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|GIT_COMMITTER_(NAME|EMAIL)"
    r"|GIT_SSH|GIT_SSH_COMMAND|GIT_SSH_VARIANT|GIT_PROXY_COMMAND|GIT_ASKPASS|SSH_ASKPASS"
    r"|SSH_AUTH_SOCK|SSH_AGENT_PID|GIT_SSL_\w+|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|KRB5\w*"
    r"|(?i:https?_proxy|all_proxy|no_proxy)"
)


class GitError(Exception):
    """Why git did not do what it should; its text is one line, and holds no password."""


class GitTooMuch(GitError):
    """Git was ended, for it said more than it may."""


class GitRefused(GitError):
    """Git ended by itself, with another status than 0; `said` is what it complained of, if it did.

    Its text is that, or the status.
    """

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said or f"git ended with {status}")
        self.said = said


def run_git(
    *arguments: str,
    git_dir: Path,
    work_tree: Path | None = None,
    given: bytes = b"",
    options: Iterable[str] = (),
    variables: Mapping[str, str] | None = None,
    as_user: bool = False,
    secrets: Iterable[str] = (),
    seconds: float = SECONDS,
    end_seconds: float = END_SECONDS,
    limit: int = OUTPUT_BYTES,
    ended: threading.Event | None = None,
) -> bytes:
    """What a git command prints, run in the repository `git_dir`. Blocks; raises `GitError`.

    It reads `given`. `options` (`NAME=VALUE`) and `variables` go before those that are always
    set. `as_user` lets the configuration count of the machine and of whoever runs this, with the
    variables that it may need to speak to another machine: for nothing that reads what somebody
    else wrote. `secrets` are taken out of what it complains of. It is ended after `seconds`, once
    it has printed more than `limit` bytes, or when `ended` is set.
    """
    told = [*_OPTIONS, *options]
    command = [
        "git", "--no-pager", *(part for one in told for part in ("-c", one)),
        f"--git-dir={os.path.abspath(git_dir)}",
        *([f"--work-tree={os.path.abspath(work_tree)}"] if work_tree else []),
        *arguments,
    ]  # fmt: skip
    try:
        with tempfile.TemporaryFile() if given else open(os.devnull, "r+b") as stdin:
            stdin.write(given)
            stdin.seek(0)
            # A session of its own: there is no terminal to ask on, and one group to end.
            process = subprocess.Popen(
                command, env=_environment(as_user) | dict(variables or {}), stdin=stdin,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                cwd=work_tree or "/",
            )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GitError(f"git can't be run: {reason}") from None
    with process:
        try:
            _limit(process.pid, resource.RLIMIT_FSIZE, FILE_BYTES)
            _limit(process.pid, resource.RLIMIT_DATA, MEMORY_BYTES)
            output, errors = _outcome(process, seconds, limit, ended)
        finally:
            _end(process, end_seconds)
    if process.returncode:
        raise GitRefused(_reason(errors, secrets), process.returncode)
    return output


def _environment(as_user: bool) -> dict[str, str]:
    """The variables to run git with: none that misleads, and none of the service's."""
    passed = {
        name: value for name, value in os.environ.items()
        if _PASSED.fullmatch(name) or (as_user and _USERS.fullmatch(name))
    }  # fmt: skip
    # A program is not looked for where somebody else may have put one.
    folders = [one for one in passed.get("PATH", "").split(os.pathsep) if os.path.isabs(one)]
    passed["PATH"] = os.pathsep.join(folders)
    return passed | _ALWAYS | ({} if as_user else _NO_CONFIGURATION)


def _limit(pid: int, kind: int, most: int) -> None:
    """Have the system refuse it more than this; it may have been limited to less."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(hard, most)
    try:
        resource.prlimit(pid, kind, (most, most))
    except OSError:
        pass  # it has ended already


def _outcome(
    process: subprocess.Popen[bytes], seconds: float, limit: int, ended: threading.Event | None
) -> tuple[bytes, bytes]:
    """What it printed, and what it complained of, when it has ended."""
    assert process.stdout and process.stderr
    end = time.monotonic() + seconds
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        while True:
            over = process.poll() is not None
            # What it left behind (a connection that ssh keeps) may hold its streams open.
            ready = selector.select(0 if over else _LOOK_SECONDS) if selector.get_map() else ()
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                key.data.extend(data if key.data is output else data[: _ERROR_BYTES - len(errors)])
                if not data:
                    selector.unregister(key.fileobj)
            if len(output) > limit:
                raise GitTooMuch(f"git said more than {limit} bytes")
            if over and not ready:
                return bytes(output), bytes(errors)
            if ended and ended.is_set():
                raise GitError("the service was stopping")
            if time.monotonic() > end:
                raise GitError(f"git took longer than {seconds:g} seconds")
            if not selector.get_map():
                _waited(process, _LOOK_SECONDS)


def _waited(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether it ends within this time."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End git and what it started, unless it has ended; at SIGTERM it removes its locks."""
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)
    if not _waited(process, seconds):
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # it has just ended


def _reason(errors: bytes, secrets: Iterable[str]) -> str:
    """What git complained of, in one line and without secrets."""
    told = errors.decode(errors="replace")
    said = told.partition("Please make sure you have the correct access rights")[0]
    lines = (re.sub(r"^(fatal|error): ", "", line.strip()) for line in said.splitlines())
    text = "; ".join(line for line in lines if line)
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]*@", "://", text)
    # What another machine says is passed on by git as it is.
    text = printable(text)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
