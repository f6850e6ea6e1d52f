"""Which commit the tasks folder stands at."""

import functools
import os
import subprocess
from pathlib import Path

import structlog

TIMEOUT_SECONDS = 5

# Set by git for its hooks: they would name another repository than the folder's.
_LOCAL = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")

log = structlog.get_logger()


def head_revision(root: Path) -> str | None:
    """The commit of HEAD in the git work tree that `root` stands in.

    None if it stands in none, if there is no commit yet, or if git is missing or refuses (a
    repository of another user): a refusal is logged, each once. Blocks for up to 5 seconds.
    """
    folder = Path(os.path.realpath(root))
    if not any(os.path.exists(above / ".git") for above in (folder, *folder.parents)):
        return None
    environment = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, env=environment,
            timeout=TIMEOUT_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        _warn(str(folder), str(error))
        return None
    if done.stderr:
        _warn(str(folder), done.stderr.strip())
    return done.stdout.strip() or None if done.returncode == 0 else None


@functools.lru_cache(maxsize=100)
def _warn(folder: str, reason: str) -> None:
    log.warning("revision_unknown", folder=folder, reason=reason)
