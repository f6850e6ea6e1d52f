"""Which commit the tasks folder stands at, and in what environment git is run."""

import functools
import os
import subprocess
from pathlib import Path

import structlog

TIMEOUT_SECONDS = 5

# Set by git for its hooks: they would name another repository than the folder's.
_LOCAL = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_NAMESPACE", "GIT_PREFIX"),
)

log = structlog.get_logger()


def head_revision(root: Path) -> str | None:
    """The commit of HEAD in the git work tree that `root` stands in, or stood in.

    None if it stands in none, if there is no commit yet, or if git is missing or refuses (a
    repository of another user): a refusal is logged, each once. Blocks for up to 5 seconds.
    """
    folder = Path(os.path.realpath(root))
    while not folder.is_dir():
        folder = folder.parent
    if not any(os.path.exists(above / ".git") for above in (folder, *folder.parents)):
        return None
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, env=environment(),
            timeout=TIMEOUT_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        _warn(str(folder), str(error))
        return None
    if done.stderr:
        _warn(str(folder), done.stderr.strip())
    return done.stdout.strip() or None if done.returncode == 0 else None


def run_git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What a git command prints; None where it fails, is missing or takes over 5 seconds.

    For what may be wanting: a file that no commit has, a folder in no work tree. `given` is
    what it reads. Blocks.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=True,
            env=environment(), timeout=TIMEOUT_SECONDS, input=given,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def environment() -> dict[str, str]:
    """The variables to run git with: the process's own, but none that misleads or is a secret."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _LOCAL and not name.startswith("TASKSERVICE_")
    }
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


@functools.lru_cache(maxsize=100)
def _warn(folder: str, reason: str) -> None:
    log.warning("revision_unknown", folder=folder, reason=reason)
