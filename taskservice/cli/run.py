"""`taskservice run`: the flags of the service."""

import os
from typing import Any

import rich_click as click

from taskservice.cli.hiding import hide_variables
from taskservice.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", help="Port to listen on; 0 for any free one.  [8000]")
@click.option("--tasks-dir", help="Folder of task files.  [tasks.d]")
@click.option("--functions", help="Patterns of functions that tasks may call, comma-separated.")
@click.option("--import-path", help="Folders to import functions from, separated by colons.")
@click.option("--output-limit", help="Bytes of an execution's output that are kept.  [256KiB]")
@click.option("--env-allow", help="Patterns of variables that ${NAME} may stand for.  [*]")
@click.option("--timezone", help="Zone of times that name none.  [UTC]")
@click.option("--prune-grace", help="From a task's retirement to its deletion.  [1d]")
@click.option("--executor", help="For tasks that name none: local, process or celery.  [local]")
@click.option("--shutdown-grace", help="For running executions at a stop.  [30s]")
@click.option("--log-retention", help="Age at which executions are deleted; empty: never.  [90d]")
def run(**flags: Any) -> None:
    """Serve the tasks and the API.

    A flag goes before its environment variable, TASKSERVICE_PORT and the like. The database,
    the tokens and the repository to follow have variables only, TASKSERVICE_DATABASE_URL,
    TASKSERVICE_API_TOKENS and TASKSERVICE_GIT_URL: everybody on a machine can read its command
    lines.
    """
    settings = Settings.from_environment(os.environ, **flags)
    unknown = Settings.unknown(os.environ)
    hide_variables()
    # The service takes a second to import: no other command waits for it.
    from taskservice.cli.serve import run_service

    run_service(settings, unknown)
