"""`taskservice workers`: who executes, and what waits in the queues."""

from collections.abc import Mapping
from typing import Any

import rich_click as click

from taskservice.cli.client import Client, speaks_to_server
from taskservice.cli.describe import state, when_in_table
from taskservice.cli.output import output_option, print_json, print_table, relative_time, say


@click.command()
@output_option
@speaks_to_server
def workers(client: Client, output: str) -> None:
    """List who executes, services and Celery workers, and what waits in the queues.

    One that is dead is listed for a minute more. What runs there is in the JSON.

    \b
    Examples:
      taskservice workers
      taskservice workers --output json
    """
    found = client.get("/workers")
    if output == "json":
        print_json(found)
        return
    print_table(
        ("NAME", "KIND", "STATE", "QUEUES", "RUNNING", "SINCE", "HEARD"),
        map(worker_row, found["workers"]),
        whole=("NAME", "KIND", "STATE", "RUNNING"),
        roomy=("SINCE",),
    )
    if found["queues"]:
        say()
        print_table(
            ("QUEUE", "WORKERS", "WAITING", "THE FIRST SINCE"),
            map(queue_row, found["queues"]),
            whole=("QUEUE", "WORKERS", "WAITING"),
        )


def worker_row(one: Mapping[str, Any]) -> tuple[object, ...]:
    """A service or a worker as the table has it."""
    places = "" if one["concurrency"] is None else f" of {one['concurrency']}"
    return (
        one["name"],
        one["kind"],
        state(one["state"]),
        ", ".join(one["queues"] or ()),
        f"{one['running_count']}{places}",
        when_in_table(one["since"]),
        relative_time(one["heard_at"]),
    )


def queue_row(one: Mapping[str, Any]) -> tuple[object, ...]:
    """A queue as the table has it: where something waits for nobody, it says so."""
    unserved = one["waiting"] and not one["workers"]
    return (
        one["name"],
        "none" if unserved else one["workers"],
        one["waiting"],
        when_in_table(one["oldest"]),
    )
