"""A bare git repository on this machine, and a clone in which somebody commits and pushes."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

TASK = """\
name: {name}
task_type: t
trigger_type: interval
trigger_args: {{hours: 1}}
func_path: taskservice.examples.simple_task
func_args: {{message: m}}
"""


def task(name: str) -> str:
    """A task file's text."""
    return TASK.format(name=name)


class Origin:
    """The bare repository `origin.git` and its clone `work`, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "origin.git"
        self.work = folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        self.git_in(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        self.git_in(folder, "clone", "--quiet", str(self.bare), str(self.work))
        self.git_in(self.work, "checkout", "--quiet", "-B", "main")

    @property
    def url(self) -> str:
        return str(self.bare)

    def git(self, *arguments: str) -> str:
        """What git says in the clone."""
        return self.git_in(self.work, *arguments)

    def commit(self, files: Mapping[str, str | None] | None = None, *, amend: bool = False) -> str:
        """Write files (None: delete one), commit everything and push it; the commit."""
        for name, text in (files or {}).items():
            path = self.work / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")
        more = ["--amend"] if amend else []
        self.git("commit", "--quiet", "--allow-empty", "--message", "change", *more)
        self.git("push", "--quiet", "--force", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def lose(self) -> None:
        """Make the repository unreachable."""
        self.bare.rename(self.bare.with_name("elsewhere.git"))

    def find(self) -> None:
        """Make it reachable again."""
        self.bare.with_name("elsewhere.git").rename(self.bare)

    @staticmethod
    def git_in(folder: Path, *arguments: str) -> str:
        person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *person, *arguments],
            cwd=folder, check=True, capture_output=True, text=True, env={**os.environ, **quiet},
        )  # fmt: skip
        return done.stdout.strip()
