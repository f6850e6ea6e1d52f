"""`taskservice promote`: overrides brought into the files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from taskservice.cli.client import Client, ClientError, speaks_to_server
from taskservice.cli.completion import complete_tasks
from taskservice.cli.exit_status import FAULT
from taskservice.cli.files import replace_file
from taskservice.cli.output import (
    Styled,
    local_time,
    output_option,
    print_json,
    say,
    say_exactly,
    say_lines,
)
from taskservice.domain.errors import Conflict

AUTHOR_DOMAIN = "users.noreply.taskservice"

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("task_ids", metavar="[TASK...]", nargs=-1, shell_complete=complete_tasks)
@click.option(
    "--all", "everything", is_flag=True,
    help="All overrides of tasks that files declare, deletions too; not those with an end.",
)  # fmt: skip
@click.option("--api-tasks", is_flag=True, help="All tasks that only the API declared.")
@click.option(
    "--field", "fields", metavar="NAME", multiple=True,
    help="Only this one, as `overrides` names it; may be given more than once.",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(path_type=Path), envvar="TASKSERVICE_TASKS_DIR",
    default=Path("tasks.d"),
    help="The task files, for --write and --branch, or TASKSERVICE_TASKS_DIR.  [tasks.d]",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Change the files in the folder.")
@click.option("--branch", metavar="NAME", help="Commit on a new branch of the folder's repository.")
@click.option(
    "--author-domain", metavar="DOMAIN", default=AUTHOR_DOMAIN,
    help=f"Where the authors of commits have their mail: NAME@DOMAIN.  [{AUTHOR_DOMAIN}]",
)  # fmt: skip
@output_option
@speaks_to_server
def promote(
    client: Client,
    task_ids: Sequence[str],
    everything: bool,
    api_tasks: bool,
    fields: Sequence[str],
    folder: Path,
    write: bool,
    branch: str | None,
    author_domain: str,
    output: str,
) -> int:
    """Bring overrides into the files that declare the tasks.

    Prints the smallest change of the files as a diff, for `git apply` or `patch -p1` in the
    tasks folder. --write makes it there. --branch commits it on a new branch, from HEAD, one
    commit for each person who set overrides, and leaves the files and the index as they are.
    When the files then say what the overrides say, the overrides end.

    A task of the API's own gets a new file. An override with an end is promoted only when its
    field is named.

    \b
    Examples:
      taskservice promote daily-report
      taskservice promote daily-report --field func_args.to --write
      taskservice promote --all --branch promote-overrides
    """
    # Reading YAML is slow to import, and no other command waits for it.
    from taskservice.cli.promoting import ask_promotion

    if not (task_ids or everything or api_tasks):
        raise click.UsageError("name a task, or give --all or --api-tasks")
    if task_ids and (everything or api_tasks):
        raise click.UsageError("--all and --api-tasks stand for tasks: name none beside them")
    if fields and not task_ids:
        raise click.UsageError("--field takes the name of a task")
    if write and branch is not None:
        raise click.UsageError("--write or --branch, not both")
    sources = [*(["file"] if everything else []), *(["api"] if api_tasks else [])]
    answer = ask_promotion(client, task_ids, sources=sources, fields=fields)
    if len(task_ids) == 1 and answer["refused"] and not answer["files"]:
        raise ClientError(answer["refused"][0]["detail"])
    if everything:
        _tell_left_out(answer)
    if not answer["files"]:
        say("nothing to promote", err=True)
    elif write:
        _write(folder, answer["files"])
    elif branch is not None:
        _commit(folder, branch, answer, author_domain)
    if output == "json":
        print_json([_as_json(change) for change in answer["files"]])
    elif not write and branch is None:
        for change in answer["files"]:
            say_exactly(_diff(change), _coloured)
    if not everything:
        _tell_left_out(answer)
    for task_id, outdated in answer["outdated"].items():
        for field in outdated:
            told = f"{task_id}: {field}: the file has changed it since it was overridden"
            say(f"look twice: {told}", err=True)
    for one in answer["refused"]:
        say_lines(f"taskservice: {one['task_id']}: {one['detail']}", err=True)
    return FAULT if answer["refused"] else 0


def _tell_left_out(answer: Mapping[str, Any]) -> None:
    for one in answer["left_out"]:
        task_id, field = one["task_id"], one["field"]
        told = f"left out: {task_id}: {field} ends by itself at {local_time(one['until'])}"
        say(f"{told}; to promote it: {task_id} --field {field}", err=True)


def _diff(change: Mapping[str, Any]) -> str:
    """Made here: what a service gives for a diff might be one of other files."""
    from taskservice.sync.text.diff import unified_diff

    return unified_diff(change["path"], change["before"], change["after"])


def _as_json(change: Mapping[str, Any]) -> dict[str, object]:
    return {
        "path": change["path"],
        "task_ids": change["task_ids"],
        "diff": _diff(change),
        "before": change["before"],
        "after": change["after"],
    }


def _coloured(number: int, line: str) -> Styled:
    """A line of a diff, whose first two name the files."""
    return Styled(line, bold=True) if number < 2 else Styled(line, _COLOURS.get(line[:1]))


def _write(folder: Path, changes: Sequence[Mapping[str, Any]]) -> None:
    """Change the files; none of them unless each is what the service has."""
    files = [_resolved(folder, change["path"]) for change in changes]
    for change, file in zip(changes, files, strict=True):
        path, before = change["path"], change["before"]
        try:
            found = file.read_bytes()
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise Conflict(f"{folder / path} can't be read: {error.strerror}") from None
        if found != (None if before is None else before.encode()):
            raise Conflict(
                f"{folder / path} is not the text that the service has: nothing was written; "
                "name its folder with --folder, or sync, then try again"
            )
    for change, file in zip(changes, files, strict=True):
        path, after = change["path"], change["after"]
        try:
            if after is None:
                file.unlink()
            else:
                replace_file(file, after)
        except OSError as error:
            raise Conflict(f"{folder / path} can't be written: {error.strerror}") from None
        done = "deleted" if after is None else "written"
        say(f"{done}: {folder / path} ({', '.join(change['task_ids'])})", err=True)


def _resolved(folder: Path, path: str) -> Path:
    """Where a task file truly lies, links resolved. Raises `Conflict` if not below the folder."""
    from taskservice.sync.text.task_files import is_task_path

    top = os.path.realpath(folder)
    file = Path(os.path.realpath(folder / path))
    if not file.is_relative_to(top) or not is_task_path(file.relative_to(top).as_posix()):
        raise Conflict(f"{folder / path} leads to {file}, which is no task file of the folder")
    return file


def _commit(folder: Path, name: str, answer: Mapping[str, Any], domain: str) -> None:
    from taskservice.cli.branch import Branch

    before = {change["path"]: change["before"] for change in answer["files"]}
    with Branch(folder, name) as branch:
        made = branch.commit(before, answer["contributions"], domain=domain)
    for commit, author in made:
        say(f"committed {commit} on branch {name}, by {author}", err=True)
    say(f"next: git push origin {name}", err=True)
