"""`taskservice import-crontab`: a crontab becomes task files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from taskservice.cli.escaping import for_terminal
from taskservice.cli.output import say, say_exactly
from taskservice.domain.errors import Fault

if TYPE_CHECKING:
    from taskservice.cli.crontab_file import Imported


@click.command("import-crontab")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tasks.d"),
    help="Folder of the task files.  [tasks.d]",
)
@click.option("--user-column", is_flag=True, help="A crontab of the system: it names users.")
@click.option("--write", is_flag=True, help="Write the files, none over another.")
def import_crontab(file: str, directory: Path, user_column: bool, write: bool) -> int:
    """Make a task file of each command of a crontab.

    FILE is a crontab as crontab(5) has it; - is standard input. The files are printed, or with
    --write written. Lines that can't be taken are left out: they are told on standard error as
    path:line:column: reason, and the exit status is 1. So are notes, of what will not be as it
    was under cron.

    The commands run by taskservice.examples_shell.run_command, which a service must allow:
    TASKSERVICE_FUNCTIONS='taskservice.examples_shell.*'. Whoever may then write a task may run
    anything as the service's user. Times of a crontab that sets neither CRON_TZ nor TZ are of
    TASKSERVICE_TIMEZONE.

    \b
    Examples:
      crontab -l | taskservice import-crontab -
      taskservice import-crontab /etc/crontab --user-column --write
    """
    from taskservice.cli.crontab_file import read_crontab
    from taskservice.sync.text.dump import dump_task

    with click.open_file(file, "rb") as opened:
        crontab = read_crontab(file, opened.read(), user_column=user_column)
    for note in crontab.notes:
        say(f"{note} (note)", err=True)
    faults = [*crontab.faults]
    if write:
        faults += _write(file, crontab.tasks, directory)
    else:
        texts = (
            f"# {for_terminal(str(_path(task, directory)))}\n{dump_task(task.task_id, task.fields)}"
            for task in crontab.tasks
        )
        say_exactly("\n".join(texts))
    for fault in sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0)):
        say(str(fault), err=True)
    return 1 if faults else 0


def _path(task: "Imported", directory: Path) -> Path:
    return directory / f"{task.task_id}.yaml"


def _write(file: str, tasks: Sequence["Imported"], directory: Path) -> list[Fault]:
    """Write the files of the tasks that the folder has not yet, and say so; the others' faults."""
    from taskservice.sync.text.dump import dump_task

    there = _already_there(tasks, directory)
    faults = []
    for task in tasks:
        if reason := there.get(task.task_id):
            faults.append(Fault(path=file, line=task.line, column=task.column, reason=reason))
            continue
        path = _path(task, directory)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:
                opened.write(dump_task(task.task_id, task.fields))
        except OSError as error:
            reason = f"can't be written: {error.strerror}"
            faults.append(Fault(path=str(path), reason=reason))
        else:
            say(str(path))
    return faults


def _already_there(tasks: Sequence["Imported"], directory: Path) -> dict[str, str]:
    """By id why the folder can't take a task: it has its id, or its file, already."""
    from taskservice.sync.folder.declaring import declared_by
    from taskservice.sync.folder.offline import read_folder

    if not directory.exists():
        return {}
    declared = declared_by(read_folder(directory).texts, {}, lambda _id, _fields: None)
    paths = {task_id: one.declaration.path for task_id, one in declared.tasks.items()}
    found = {}
    for task in tasks:
        if os.path.lexists(_path(task, directory)) or task.task_id in declared.faulty:
            reason = f"there is a file for {task.task_id!r} in {directory} already"
            found[task.task_id] = reason
        elif task.task_id in paths:
            where = directory / str(paths[task.task_id])
            found[task.task_id] = f"task {task.task_id!r} is declared in {where} already"
    return found
