"""`taskservice sync` and `taskservice status`: what a sync did, and what the last one found."""

from collections.abc import Mapping
from typing import Any

import rich_click as click

from taskservice.cli.client import Client, speaks_to_server
from taskservice.cli.describe import fault_line, when, when_in_table
from taskservice.cli.exit_status import FAULT
from taskservice.cli.output import cell, output_option, print_json, print_table, progress, say


@click.command()
@click.option("--prune", is_flag=True, help="Let a held sync go on and retire its tasks.")
@output_option
@speaks_to_server
def sync(client: Client, prune: bool, output: str) -> int:
    """Have the service read its folder now, and tell what it found.

    The exit status is 1 when a file has a fault, or when the sync is held because it would
    retire most tasks.

    \b
    Examples:
      taskservice sync
      taskservice sync --prune
    """
    with progress("Syncing"):
        report = client.post("/sync", prune=prune or None)
    _show(report, output)
    return FAULT if report["errors"] or report["held"] else 0


@click.command()
@output_option
@speaks_to_server
def status(client: Client, output: str) -> None:
    """Show what the last sync found: faults, drift, retired tasks.

    \b
    Example:
      taskservice status
    """
    _show(client.get("/sync"), output)


def _show(report: Mapping[str, Any], output: str) -> None:
    if output == "json":
        print_json(report)
        return
    drift = report["drift"]
    say(f"synced:    {when(report['synced_at'])}")
    if report["revision"]:
        say(f"revision:  {report['revision']}")
    say(f"scheduler: {cell(report['scheduler'])}")
    say(
        f"declared:  {report['declared']} ({drift['in_sync']} in sync, "
        f"{drift['overridden']} overridden, {drift['conflict']} in conflict)"
    )
    say(f"errors:    {len(report['errors'])}")
    for error in report["errors"]:
        say(fault_line(error))
    if held := report["held"]:
        say(f"held:      {held['reason']}; to let it go on: taskservice sync --prune")
        say(f"           {', '.join(held['task_ids'])}")
    if report["retired"]:
        say(f"retired:   {len(report['retired'])}")
        print_table(
            ("TASK", "FILE", "RETIRED", "WILL BE DELETED"),
            (
                (
                    each["task_id"],
                    each["path"],
                    when_in_table(each["retired_at"]),
                    when_in_table(each["delete_at"]),
                )
                for each in report["retired"]
            ),
            whole=("TASK", "RETIRED", "WILL BE DELETED"),
        )
