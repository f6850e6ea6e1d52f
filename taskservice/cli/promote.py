"""`taskservice promote`: overrides brought into the files."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from taskservice.cli.client import Client, speaks_to_server
from taskservice.cli.completion import complete_tasks
from taskservice.cli.output import (
    Styled,
    local_time,
    output_option,
    print_json,
    say,
    say_exactly,
    say_lines,
)
from taskservice.cli.paging import all_pages
from taskservice.domain.errors import Conflict

if TYPE_CHECKING:
    from taskservice.cli.promoting import Promotions

FAULT = 1
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
    # Reading and writing YAML is slow to import, and no other command waits for it.
    from taskservice.cli.promoting import Promotions

    if not (task_ids or everything or api_tasks):
        raise click.UsageError("name a task, or give --all or --api-tasks")
    if task_ids and (everything or api_tasks):
        raise click.UsageError("--all and --api-tasks stand for tasks: name none beside them")
    if fields and not task_ids:
        raise click.UsageError("--field takes the name of a task")
    if write and branch is not None:
        raise click.UsageError("--write or --branch, not both")
    wanted: dict[str, Sequence[str]] = dict.fromkeys(task_ids, fields)
    if everything:
        wanted |= _lasting(client)
    if api_tasks:
        page = all_pages(client, "/task-manage/", "Tasks", source="api")
        wanted |= {task["id"]: () for task in page["items"]}
    promotions = Promotions()
    promotions.ask(client, wanted)
    if not promotions.changed:
        say("nothing to promote", err=True)
    elif write:
        _write(folder, promotions)
    elif branch is not None:
        _commit(folder, branch, promotions, author_domain)
    if output == "json":
        print_json([_as_json(promotions, path) for path in promotions.changed])
    elif not write and branch is None:
        for path in promotions.changed:
            say_exactly(_diff(promotions, path), _coloured)
    for task_id, field, until in promotions.left_out:
        _tell_left_out(task_id, field, until)
    for field in promotions.outdated:
        say(f"look twice: {field}: the file has changed it since it was overridden", err=True)
    for reason in promotions.refused:
        say_lines(f"taskservice: {reason}", err=True)
    return FAULT if promotions.refused else 0


def _lasting(client: Client) -> dict[str, Sequence[str]]:
    """By task that a file declares, the fields whose overrides have no end; tells of the others."""
    lasting: dict[str, list[str]] = {}
    for one in client.get("/overrides"):
        if one["source"] != "file":
            continue
        if one["until"] is None:
            lasting.setdefault(one["task_id"], []).append(one["field"])
        else:
            _tell_left_out(one["task_id"], one["field"], one["until"])
    return dict(lasting)


def _tell_left_out(task_id: str, field: str, until: str) -> None:
    told = f"left out: {task_id}: {field} ends by itself at {local_time(until)}"
    say(f"{told}; to promote it: {task_id} --field {field}", err=True)


def _diff(promotions: "Promotions", path: str) -> str:
    from taskservice.sync.text.diff import unified_diff

    return unified_diff(path, _text(promotions.before, path), _text(promotions.after, path))


def _text(files: Mapping[str, bytes | None], path: str) -> str | None:
    data = files[path]
    return None if data is None else data.decode()


def _as_json(promotions: "Promotions", path: str) -> dict[str, object]:
    return {
        "path": path,
        "task_ids": promotions.tasks_in(path),
        "diff": _diff(promotions, path),
        "before": _text(promotions.before, path),
        "after": _text(promotions.after, path),
    }


def _coloured(number: int, line: str) -> Styled:
    """A line of a diff, whose first two name the files."""
    return Styled(line, bold=True) if number < 2 else Styled(line, _COLOURS.get(line[:1]))


def _write(folder: Path, promotions: "Promotions") -> None:
    """Change the files; none of them unless each is what the service has."""
    files = {path: _resolved(folder, path) for path in promotions.changed}
    for path, file in files.items():
        try:
            found = file.read_bytes()
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise Conflict(f"{folder / path} can't be read: {error.strerror}") from None
        if found != promotions.before[path]:
            raise Conflict(
                f"{folder / path} is not the text that the service has: nothing was written; "
                "name its folder with --folder, or sync, then try again"
            )
    for path, file in files.items():
        after = promotions.after[path]
        try:
            _replace(file, after)
        except OSError as error:
            raise Conflict(f"{folder / path} can't be written: {error.strerror}") from None
        done = "deleted" if after is None else "written"
        say(f"{done}: {folder / path} ({', '.join(promotions.tasks_in(path))})", err=True)


def _resolved(folder: Path, path: str) -> Path:
    """Where a task file truly lies, links resolved. Raises `Conflict` if not below the folder."""
    from taskservice.sync.text.task_files import is_task_path

    top = os.path.realpath(folder)
    file = Path(os.path.realpath(folder / path))
    if not file.is_relative_to(top) or not is_task_path(file.relative_to(top).as_posix()):
        raise Conflict(f"{folder / path} leads to {file}, which is no task file of the folder")
    return file


def _replace(file: Path, data: bytes | None) -> None:
    if data is None:
        file.unlink()
        return
    draft = file.with_name(f".{file.name}.draft")  # no task file by its name
    try:
        draft.write_bytes(data)
        if file.exists():
            shutil.copymode(file, draft)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _commit(folder: Path, name: str, promotions: "Promotions", domain: str) -> None:
    from taskservice.cli.branch import Branch

    with Branch(folder, name) as branch:
        made = branch.commit(promotions, domain=domain)
    for commit, person in made:
        say(f"committed {commit} on branch {name}, by {person}", err=True)
    say(f"next: git push origin {name}", err=True)
