"""`taskservice validate`: every fault of task files, with no service."""

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from taskservice.cli.checks import checks_offline, offline_check
from taskservice.cli.escaping import for_github, for_github_property, for_json, for_terminal
from taskservice.cli.output import output_option, progress, say, say_as_made
from taskservice.domain.errors import Fault
from taskservice.settings import PREFIX

if TYPE_CHECKING:
    from taskservice.sync.folder.declaring import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How many files and tasks there are, and the faults, their paths as somebody typed them."""

    files: int
    tasks: int
    faults: list[Fault]


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github", "json"]),
    default="text",
    help="A line for each fault, GitHub's annotations, or JSON.  [text]",
)
@partial(
    output_option, told="As other commands have it: json is the same as --format json.  [table]"
)
@checks_offline
def validate(
    paths: tuple[str, ...], form: str, output: str, no_import: bool, **flags: str | None
) -> int:
    """Check task files by the service's rules, and print every fault.

    PATHS are folders of task files, or single files; without any it is the folder that
    TASKSERVICE_TASKS_DIR names, else tasks.d. Faults go to standard output as
    path:line:column: field: reason, and a summary to standard error. The exit status is 0,
    or 1 if there are faults.

    A task's function must be allowed by TASKSERVICE_FUNCTIONS, and is then imported to see
    whether it takes the task's arguments. With --no-import it is not, so that a machine will do
    on which your modules are not installed. A flag goes before its environment variable.

    A file that is given by itself is checked alone: that no other declares the same task is
    seen only where the folder is given.

    \b
    Examples:
      taskservice validate
      taskservice validate tasks.d --no-import --format github
    """
    check = offline_check(no_import=no_import, **flags)
    if not paths:
        default = os.environ.get(f"{PREFIX}TASKS_DIR", "tasks.d")
        if not os.path.exists(default):
            raise click.UsageError(f"There is no folder {default!r}: name one, or a file.")
        paths = (default,)
    # What a user's module prints when it is imported is no part of the answer.
    with redirect_stdout(sys.stderr), _without_collection():
        checked = [_checked(Path(path), check) for path in paths]
    together = Checked(
        files=sum(one.files for one in checked),
        tasks=sum(one.tasks for one in checked),
        faults=[fault for one in checked for fault in one.faults],
    )
    for line in _FORMATS["json" if output == "json" else form](together):
        say_as_made(line)
    number = sum(fault.more or 1 for fault in together.faults)
    said = _count(number, "fault") if number else "no faults"
    summary = f"{_count(together.tasks, 'task')} in {_count(together.files, 'file')}: {said}"
    say(summary, err=True)
    return 1 if together.faults else 0


def _checked(typed: Path, check: "Check") -> Checked:
    """What stands in a folder, or in a file alone."""
    from taskservice.sync.folder.declaring import declared_by, place
    from taskservice.sync.folder.offline import read_file_alone, read_folder
    from taskservice.sync.text.task_files import as_utf8

    is_folder = typed.is_dir()
    read = read_folder(typed) if is_folder else read_file_alone(typed)
    with progress(f"Checking {typed}", len(read.texts)) as done:
        declared = declared_by(read.texts, {}, check, step=lambda: done(1))
    base = typed if is_folder else typed.parent
    return Checked(
        files=len(read.texts),
        tasks=len(declared.tasks) + len(declared.faulty),
        faults=[
            replace(fault, path=as_utf8(str(base / (fault.path or ""))))
            for fault in sorted((*read.faults, *declared.faults), key=place)
        ],
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: what is made here is kept, and the look takes a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _as_text(checked: Checked) -> Iterator[str]:
    return (for_terminal(str(fault)) for fault in checked.faults)


def _as_annotations(checked: Checked) -> Iterator[str]:
    """GitHub's workflow commands: an annotation at the place of each fault."""
    for fault in checked.faults:
        places = {"file": fault.path, "line": fault.line, "col": fault.column}
        properties = ",".join(
            f"{name}={for_github_property(str(value))}" for name, value in places.items() if value
        )
        message = f"{fault.field}: {fault.reason}" if fault.field else fault.reason
        yield f"::error {properties}::{for_github(message)}"


def _as_json(checked: Checked) -> Iterator[str]:
    told = {
        "files": checked.files,
        "tasks": checked.tasks,
        "faults": [fault.as_json() for fault in checked.faults],
    }
    yield for_json(json.dumps(told, ensure_ascii=False, indent=2))


_FORMATS: dict[str, Callable[[Checked], Iterator[str]]] = {
    "text": _as_text,
    "github": _as_annotations,
    "json": _as_json,
}
