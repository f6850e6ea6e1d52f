"""`taskservice plan`: what a sync of a folder would do, before it is one."""

from pathlib import Path
from typing import Any

import rich_click as click

from taskservice.cli.client import Client, speaks_to_server
from taskservice.cli.output import output_option, print_json
from taskservice.domain.errors import Fault, Invalid

CHANGES = 2
FAULTS = 1


@click.command()
@click.argument(
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="TASKSERVICE_TASKS_DIR",
    default="tasks.d",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    help="For a terminal, or for a comment on a pull request.  [text]",
)
@output_option
@speaks_to_server
def plan(client: Client, folder: Path, form: str, output: str) -> int:
    """Show what a sync of FOLDER (tasks.d) would do to the tasks of the service.

    Nothing is changed. Of each task that would be created, changed, retired or refused it shows
    the fields and the next fires, before and after; changes that have no effect since an
    override outweighs them; and all overrides that are in force.

    The exit status is 0 where nothing would change, 2 where something would, and 1 where a file
    is at fault.

    Examples: `taskservice plan`, `taskservice plan --format markdown > comment.md`.
    """
    return show(client.post("/plan", {"files": texts_of(folder)}), form=form, output=output)


def texts_of(folder: Path) -> dict[str, str]:
    """The texts of a folder's task files, by path; raises `Invalid` where one can't be read."""
    # Here and not above: `taskservice --help` needs none of it.
    from taskservice.sync.offline import read_folder

    read = read_folder(folder)
    faults = list(read.faults)
    texts = {}
    for path, data in read.texts.items():
        try:
            texts[path] = data.decode()
        except UnicodeDecodeError:
            faults.append(Fault(reason="is not UTF-8", path=path))
    if faults:
        # What the service is not told of, it would take for gone.
        raise Invalid(faults)
    return texts


def show(plan: Any, *, form: str, output: str) -> int:
    """Print a plan, as `POST /plan` answers it; the exit status that it has."""
    from taskservice.cli.plan_text import as_markdown, print_plan

    if output == "json":
        print_json(plan)
    elif form == "markdown":
        click.echo(as_markdown(plan))
    else:
        print_plan(plan)
    if plan["refuse"]:
        return FAULTS
    return CHANGES if any(plan[part] for part in ("create", "update", "retire", "held")) else 0
