"""`taskservice export`: effective tasks as task files."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import rich_click as click

from taskservice.cli.client import Client, speaks_to_server, task_path
from taskservice.cli.completion import complete_tasks
from taskservice.cli.files import replace_file
from taskservice.cli.output import progress, say, say_exactly
from taskservice.cli.paging import all_pages
from taskservice.domain.errors import TaskserviceError
from taskservice.sync.text.scalars import plain_kind
from taskservice.sync.text.task_files import passed_over

_SEVERAL = "tasks:\n"
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


@click.command()
@click.argument("task_ids", metavar="[TASK...]", nargs=-1, shell_complete=complete_tasks)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a file ID.yaml a task there, over those of the same name.",
)
@speaks_to_server
def export(client: Client, task_ids: Sequence[str], directory: Path | None) -> None:
    """Print tasks as task files: as they run, overrides included.

    Without TASK it is all of them. Several are printed as one file.

    \b
    Examples:
      taskservice export daily-report > tasks.d/daily-report.yaml
      taskservice export --directory backup
    """
    ids = list(dict.fromkeys(task_ids)) or _all_ids(client)
    if directory is not None:
        _write(client, ids, directory)
    elif len(task_ids) == 1:
        say_exactly(_text(client, ids[0]))
    else:
        texts = list(_texts(client, ids))
        if texts:
            say_exactly(_SEVERAL + "".join(_entry(*each) for each in texts))


def _all_ids(client: Client) -> list[str]:
    return [task["id"] for task in all_pages(client, "/task-manage/", "Tasks")["items"]]


def _text(client: Client, task_id: str) -> str:
    return client.text(task_path(task_id, "yaml"))


def _texts(client: Client, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    with progress("Exporting", len(ids)) as advance:
        for task_id in ids:
            yield task_id, _text(client, task_id)
            advance(1)


def _entry(task_id: str, text: str) -> str:
    """A file's text as an entry of a file of several tasks."""
    if text.startswith(_SEVERAL):
        return text.removeprefix(_SEVERAL)
    plain = _PLAIN_KEY.fullmatch(task_id) and not plain_kind(task_id)
    key = task_id if plain else json.dumps(task_id, ensure_ascii=False)
    return f"  {key}:\n" + re.sub(r"^(?=.)", "    ", text, flags=re.MULTILINE)


def _write(client: Client, ids: Sequence[str], directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for task_id, text in _texts(client, ids):
            name = f"{task_id}.yaml"
            # The text of such a task names its id: its file may have any name.
            path = directory / (f"task{name}" if passed_over(name) else name)
            replace_file(path, text)
    except OSError as error:
        raise TaskserviceError(f"can't write {error.filename}: {error.strerror}") from None
    say(f"{len(ids)} written to {directory}", err=True)
