"""`taskservice audit`: who did what, when and why."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import rich_click as click

from taskservice.cli.arguments import ACTIONS, ago
from taskservice.cli.client import Client, speaks_to_server
from taskservice.cli.completion import complete_tasks
from taskservice.cli.describe import value, when_in_table
from taskservice.cli.output import output_option, print_json, print_table, say
from taskservice.cli.paging import all_pages

LIMIT = 20

_LONGEST = 100
"""Characters of what was changed that a terminal shows."""


@click.command()
@click.option(
    "--task", "task_id", metavar="TASK", shell_complete=complete_tasks, help="Only of it."
)
@click.option("--by", metavar="NAME", help="Only what this one did: a name, file or service.")
@click.option(
    "--action", metavar="ACTION", type=click.Choice(ACTIONS), help=f"Only: {', '.join(ACTIONS)}."
)
@click.option(
    "--since",
    metavar="TIME",
    callback=ago,
    help="Done then or later: 2026-01-31T08:00:00+01:00, or a span like 30m, 2h, 3d ago.",
)
@click.option("--until", metavar="TIME", callback=ago, help="Done before.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    help="How many at most, the newest.",
)
@output_option
@speaks_to_server
def audit(client: Client, limit: int, output: str, **filters: str | None) -> None:
    """Tell who did what, when and why, the newest first: of one task, or of all.

    All that was changed, before and after, is in the JSON.

    \b
    Examples:
      taskservice audit --since 1d
      taskservice audit --task daily-report --action paused
    """
    page = all_pages(client, "/audit", "Events", limit=limit, **filters)
    if output == "json":
        print_json(page)
    elif page["items"]:
        print_table(
            ("WHEN", "ACTION", "TASK", "BY", "CHANGES", "REASON"),
            map(event_row, page["items"]),
            whole=("WHEN", "ACTION", "TASK", "BY"),
            roomy=("REASON",),
        )
    else:
        say("no event", err=True)


def event_row(event: Mapping[str, Any]) -> Sequence[object]:
    """An event as the table has it."""
    changes = ", ".join(map(change_text, event["changes"]))
    if len(changes) > _LONGEST and sys.stdout.isatty():
        changes = f"{changes[: _LONGEST - 1]}…"
    return (
        when_in_table(event["at"]),
        event["action"],
        event["task_id"],
        done_by(event),
        changes,
        event["reason"],
    )


def done_by(event: Mapping[str, Any]) -> str:
    """Who did it: of what a file did, with the author and the commit."""
    told = [event["by"]]
    if event["via"] == "console":
        told.append("in the console")
    if event["author"]:
        told.append(event["author"])
    if event["revision"]:
        told.append(event["revision"][:8])
    return ", ".join(told)


def change_text(change: Mapping[str, Any]) -> str:
    """What became of a field, on one line."""
    old, new = (None if given is None else value(given) for given in (change["old"], change["new"]))
    if old is None:
        return f"{change['field']}={new or 'null'}"
    return f"{change['field']}: {old} → {new or 'null'}"
