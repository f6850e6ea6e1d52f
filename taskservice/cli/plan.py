"""`taskservice plan`: what a sync of a folder would do, before it is one."""

import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from taskservice.cli.checks import checks_offline, offline_check, offline_zone
from taskservice.cli.client import Client, ClientError, speaks_to_server
from taskservice.cli.exit_status import CHANGES, FAULT
from taskservice.cli.output import output_option, print_json, progress, say_as_made
from taskservice.domain.errors import Conflict, Fault, Invalid

if TYPE_CHECKING:
    from taskservice.domain.plan import FolderDeclarations
    from taskservice.sync.folder.declaring import Check
    from taskservice.sync.text.task_files import TaskFiles

PATIENCE = 60
"""Seconds for which others may have the service make plans."""


@click.command()
@click.argument(
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="TASKSERVICE_TASKS_DIR",
    default="tasks.d",
)
@click.option(
    "--against",
    metavar="FOLDER|COMMIT",
    help="Compare with another folder, or with a commit of this one, instead of the service.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    help="For a terminal, or for a comment on a pull request.  [text]",
)
@output_option
@checks_offline
@speaks_to_server
def plan(
    client: Client, folder: Path, against: str | None, form: str, output: str, **checks: Any
) -> int:
    """Show what a sync of a folder would do.

    The folder is tasks.d unless FOLDER names another. Nothing is changed. Of each task that
    would be created, changed, retired or refused it shows the fields and the next fires, before
    and after; changes that have no effect since an override outweighs them; and all overrides
    that are in force.

    With --against no service is asked: the two declarations are compared, as if nobody had
    changed anything by API. Only then do the options count which say how tasks are checked.

    The exit status is 0 where nothing would change, 2 where something would, and 1 where a file
    is at fault.

    \b
    Examples:
      taskservice plan
      taskservice plan --against origin/main --format markdown
    """
    if against is None:
        texts = _texts(folder)
        with progress(f"Planning {len(texts)} files"):
            found = _asked(client, texts)
    else:
        found = _compared(folder, against, offline_check(**checks), checks["timezone"])
    return _show(found, form=form, output=output)


def _asked(client: Client, texts: dict[str, str]) -> Any:
    """The service's plan; it makes one at a time, so where another is made there is a wait."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return client.post("/plan", {"files": texts})
        except ClientError as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > end:
                raise
        time.sleep(1)


def _show(plan: Any, *, form: str, output: str) -> int:
    """Print a plan, as `POST /plan` answers it; the exit status that it has."""
    from taskservice.cli.plan_text import as_markdown, print_plan

    if output == "json":
        print_json(plan)
    elif form == "markdown":
        say_as_made(as_markdown(plan))
    else:
        print_plan(plan)
    if plan["refuse"]:
        return FAULT
    return CHANGES if any(plan[part] for part in ("create", "update", "retire", "held")) else 0


def _texts(folder: Path) -> dict[str, str]:
    """The texts of a folder's task files, by path; raises `Invalid` where one can't be read."""
    # Here and not above, as all that is slow to import: help needs none of it.
    from taskservice.sync.folder.offline import read_folder

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


def _compared(folder: Path, against: str, check: "Check", timezone: str | None) -> Any:
    """The plan from what `against` declares to what the folder does, as the API would tell it."""
    import msgspec

    from taskservice.sync.folder.offline import read_folder
    from taskservice.sync.planning import compare
    from taskservice.web.schemas.plan import Plan

    other = Path(against)
    # No name of a commit begins like a path.
    if other.is_dir() and not against.startswith((".", "/")) and _is_commit(folder, against):
        # Whoever commits such a folder must not choose what is compared.
        raise click.UsageError(
            f"--against {against!r} is a folder and a commit too: write ./{against} for the folder"
        )
    before = read_folder(other) if other.is_dir() else _at_commit(folder, against)
    if before is None:
        raise click.UsageError(
            f"--against {against!r} is neither a folder nor a commit of the repository that "
            f"{str(folder)!r} stands in."
        )
    # What a user's module prints when it is imported is no part of the answer.
    with redirect_stdout(sys.stderr):
        old = _declared("Reading what was", before, check)
        new = _declared("Reading what is to come", read_folder(folder), check)
        preview = compare(old, new, check=check, zone=offline_zone(timezone), now=datetime.now(UTC))
    return msgspec.to_builtins(Plan.of(preview))


def _is_commit(folder: Path, revision: str) -> bool:
    from taskservice.sync.gitrepo.git import GitError
    from taskservice.sync.gitrepo.work_tree import find_work_tree

    try:
        tree = find_work_tree(folder)
        return tree is not None and tree.revision(revision) is not None
    except GitError:
        return False


def _at_commit(folder: Path, revision: str) -> "TaskFiles | None":
    """The task files of a commit; None: there is none of this name. Raises `Conflict`."""
    from taskservice.sync.gitrepo.git import GitError
    from taskservice.sync.gitrepo.revisions import files_at

    try:
        return files_at(folder, revision)
    except GitError as error:
        raise Conflict(f"--against {revision!r}: {error}") from None


def _declared(what: str, read: "TaskFiles", check: "Check") -> "FolderDeclarations":
    from taskservice.sync.folder.declaring import declared_by

    with progress(what, len(read.texts)) as done:
        declared = declared_by(read.texts, {}, check, step=lambda: done(1))
    # A file that can't be read is not gone.
    unreadable = {fault.path for fault in read.faults if fault.path}
    return replace(
        declared,
        faults=(*read.faults, *declared.faults),
        unreadable=declared.unreadable | unreadable,
    )
