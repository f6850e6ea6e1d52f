"""A function that runs shell commands, for tasks that were crontab lines.

It is off by default, for whoever may write a task then may run anything: allow it with
`TASKSERVICE_FUNCTIONS='taskservice.examples_shell.*'`. Give its tasks `executor: process`: only
then does a timeout or a cancel end the command too.
"""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from taskservice import task

_CHUNK = 64 * 1024


class CommandFailed(Exception):
    """The command's exit status was not 0, or a signal ended it."""


@task
def run_command(
    command: str,
    shell: str = "/bin/sh",
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command with a shell as cron does, and fail if the command does.

    It runs in the home directory, with cron's few variables and those of `environment`, not with
    the service's own. What it writes is kept as the execution's output. Raises CommandFailed.
    """
    variables = _variables(shell) | dict(environment or {})
    with tempfile.TemporaryFile() as given:
        given.write((stdin or "").encode())
        given.seek(0)
        with subprocess.Popen(
            [shell, "-c", command],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=variables["HOME"],
        ) as process:
            assert process.stdout
            while written := os.read(process.stdout.fileno(), _CHUNK):
                sys.stdout.buffer.write(written)
                sys.stdout.flush()
    if process.returncode > 0:
        raise CommandFailed(f"the command ended with exit status {process.returncode}")
    if process.returncode < 0:
        raise CommandFailed(f"signal {-process.returncode} ended the command")


def _variables(shell: str) -> dict[str, str]:
    """What cron sets for every command."""
    user = pwd.getpwuid(os.getuid())
    return {
        "SHELL": shell,
        "PATH": "/usr/bin:/bin",
        "LOGNAME": user.pw_name,
        "HOME": user.pw_dir if os.path.isdir(user.pw_dir) else "/",
    }
