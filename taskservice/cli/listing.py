"""`taskservice list` and `taskservice functions`."""

from typing import Any

import rich_click as click

from taskservice.cli.arguments import DRIFTS, SOURCES, TASK_STATUSES, TRIGGER_TYPES
from taskservice.cli.client import Client, speaks_to_server
from taskservice.cli.describe import state, trigger, when_in_table
from taskservice.cli.output import output_option, print_json, print_table, say
from taskservice.cli.paging import all_pages


@click.command(name="list")
@click.option("--status", type=click.Choice(TASK_STATUSES))
@click.option("--task-type", metavar="TYPE")
@click.option("--trigger-type", type=click.Choice(TRIGGER_TYPES))
@click.option("--source", type=click.Choice(SOURCES), help="What declared it.")
@click.option("--drift", type=click.Choice(DRIFTS), help="Whether it is as its file says.")
@click.option("--tag", metavar="TAG")
@click.option("-q", "--search", "q", metavar="TEXT", help="In id, name, description or function.")
@click.option("--retired", is_flag=True, help="Those whose file is gone, which wait to be deleted.")
@click.option("--sort", metavar="FIELD", help="Order; with - in front the greatest first.  [id]")
@output_option
@speaks_to_server
def list_tasks(client: Client, output: str, **filters: Any) -> None:
    """List tasks: all, or those that pass every filter given.

    \b
    Examples:
      taskservice list --status failed
      taskservice list --drift conflict --tag billing
      taskservice list --sort -next_run_time --output json
    """
    page = all_pages(client, "/task-manage/", "Tasks", **filters)
    if output == "json":
        print_json(page)
        return
    if not page["items"]:
        say("no task", err=True)
        return
    time, heading = "next_run_time", "NEXT FIRE"
    if filters["retired"]:
        time, heading = "retired_at", "RETIRED"
    print_table(
        ("ID", "NAME", "STATUS", heading, "TRIGGER", "SOURCE", "DRIFT"),
        (
            (
                task["id"],
                task["name"],
                state(task["status"]),
                when_in_table(task[time]),
                trigger(task),
                task["source"],
                state(task["drift"]),
            )
            for task in page["items"]
        ),
        whole=("ID", "STATUS", heading, "SOURCE", "DRIFT"),
        roomy=("SOURCE",),
    )


@click.command()
@output_option
@speaks_to_server
def functions(client: Client, output: str) -> None:
    """List the functions that tasks may call.

    Which they are is the service's setting TASKSERVICE_FUNCTIONS.

    \b
    Example:
      taskservice functions
    """
    found = client.get("/functions")
    if output == "json":
        print_json(found)
        return
    print_table(
        ("FUNCTION", "ARGUMENTS", "DESCRIPTION"),
        ((each["func_path"], each["signature"], _described(each)) for each in found),
        whole=("FUNCTION",),
    )


def _described(function: Any) -> str:
    """What a function does, and whether the service runs an older code of it."""
    changed = "(changed on disk since it was loaded) " if function["changed_on_disk"] else ""
    return f"{changed}{function['description']}"
