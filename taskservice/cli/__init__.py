"""The commands: `taskservice --help` lists them."""

import os
import sys
from typing import Any, NoReturn

import rich_click as click

from taskservice import __version__
from taskservice.cli.serve import run_service
from taskservice.domain.errors import StartError
from taskservice.settings import Settings, SettingsError

FAULT = 1
WRONG_USAGE = 64


def main() -> NoReturn:
    """Run the command that the arguments name, and exit: 0, 1 for a fault, 64 for wrong usage."""
    try:
        status = commands.main(prog_name="taskservice", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        status = WRONG_USAGE
    except (SettingsError, StartError) as error:
        click.echo(f"taskservice: {error}", err=True)
        status = FAULT
    except (click.Abort, KeyboardInterrupt):
        status = FAULT
    sys.exit(status)


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """A declarative scheduler: tasks in a folder of YAML files, changed and watched over HTTP."""


@commands.command()
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", help="Port to listen on; 0 for any free one.  [8000]")
@click.option("--tasks-dir", help="Folder of task files.  [tasks.d]")
@click.option("--functions", help="Patterns of functions that tasks may call, comma-separated.")
@click.option("--import-path", help="Folders to import functions from, separated by colons.")
@click.option("--timezone", help="Zone of times that name none.  [UTC]")
@click.option("--prune-grace", help="From a task's retirement to its deletion.  [1d]")
@click.option("--executor", help="For tasks that name none: local or process.  [local]")
@click.option("--shutdown-grace", help="For running executions at a stop.  [30s]")
@click.option("--log-retention", help="Age at which executions are deleted; empty: never.  [90d]")
def run(**flags: Any) -> None:
    """Serve the tasks and the API.

    A flag goes before its environment variable, TASKSERVICE_PORT and the like. The database
    and the tokens have variables only, TASKSERVICE_DATABASE_URL and TASKSERVICE_API_TOKENS:
    everybody on a machine can read its command lines.
    """
    settings = Settings.from_environment(os.environ, **flags)
    # A user's own modules go before any installed ones of the same name.
    sys.path[:0] = [str(folder.resolve()) for folder in settings.import_path]
    run_service(settings)
