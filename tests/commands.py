"""The command `taskservice` in this process: its own `main`, but no process that must start first.

What a process adds, its start and its exit status, its pipes, terminals and signals, and the
imports of users' modules, is tested with processes.
"""

import io
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from taskservice.cli import main

Environ = Mapping[str, str]


class Result(NamedTuple):
    """What a command left: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


def bare_environ(**variables: str) -> dict[str, str]:
    """This process's environment with these variables, and no others of the project."""
    return {name: value for name, value in os.environ.items() if "TASKSERVICE" not in name} | (
        variables
    )


def run_here(arguments: Sequence[str], environ: Environ, folder: Path | None = None) -> Result:
    """Run a command to its end, in a folder, as if it were typed where no terminal is."""
    out, err = _pipe(), _pipe()
    with (
        _environment(environ),
        chdir(folder or "."),
        patch.object(sys, "argv", ["taskservice", *arguments]),
        patch.object(sys, "path", list(sys.path)),
        patch.object(sys, "stdin", _pipe()),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    assert isinstance(status, int)
    return Result(status, _text(out), _text(err))


def result(folder: Path, *arguments: str, **variables: str) -> Result:
    """What a command leaves that is run in a folder, with only these variables of its own."""
    return run_here(arguments, bare_environ(**variables), folder)


def _pipe() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(pipe: io.TextIOWrapper) -> str:
    pipe.seek(0)
    return pipe.read()


@contextmanager
def _environment(environ: Environ) -> Iterator[None]:
    """Have this environment; its time zone counts from the start, as in a process."""
    try:
        # Where there is no terminal, a process takes it for 80 columns wide; pytest may have one.
        with patch.dict(os.environ, {"COLUMNS": "80", **environ}, clear=True):
            time.tzset()
            yield
    finally:
        time.tzset()
