"""The commands: `taskservice --help` lists them."""

import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import chain
from typing import NoReturn

import rich_click as click

from taskservice import __version__
from taskservice.cli.audit import audit
from taskservice.cli.changes import delete, pause, restore, resume, revert
from taskservice.cli.client import ClientError
from taskservice.cli.completion import completion
from taskservice.cli.crontab import import_crontab
from taskservice.cli.executions import cancel, logs, trigger
from taskservice.cli.exit_status import FAULT, WRONG_USAGE
from taskservice.cli.export import export
from taskservice.cli.listing import functions, list_tasks
from taskservice.cli.notifications import channels, silence, unsilence
from taskservice.cli.output import say, say_lines
from taskservice.cli.plan import plan
from taskservice.cli.promote import promote
from taskservice.cli.run import run
from taskservice.cli.schema import schema
from taskservice.cli.showing import fires, overrides, show
from taskservice.cli.syncing import status, sync
from taskservice.cli.token import token
from taskservice.cli.validate import validate
from taskservice.cli.worker import worker
from taskservice.cli.workers import workers
from taskservice.domain.errors import TaskserviceError
from taskservice.settings import SettingsError


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with the status that it returns.

    That is 0 for None; a command's fault is 1 and wrong usage 64.
    """
    try:
        code = commands.main(prog_name="taskservice", standalone_mode=False)
    except click.UsageError as error:
        told = StringIO()
        error.show(told)
        say_lines(told.getvalue(), err=True, nl=False)
        code = WRONG_USAGE
    except (SettingsError, TaskserviceError) as error:
        # Only a client's has several lines, of which each is harmless.
        tell = say_lines if isinstance(error, ClientError) else say
        tell(f"taskservice: {error}", err=True)
        code = FAULT
    except (click.Abort, KeyboardInterrupt):
        code = FAULT
    sys.exit(code)


# Help needs all of them, so each imports what is slow, the service or httpx, when it is called.
PANELS: Mapping[str, Sequence[click.Command]] = {
    "Serve": [run, worker, token],
    "Tasks": [
        *(list_tasks, show, logs, fires, trigger, cancel, pause, resume, delete, functions),
        *(silence, unsilence, channels),
        *(workers, audit),
    ],
    "GitOps": [
        *(validate, plan, sync, status, overrides, revert, restore, promote, export, schema),
    ],
    "Other": [import_crontab, completion],
}
"""The commands as help groups them."""


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.rich_config(
    {
        "commands_before_options": True,
        "text_paragraph_linebreaks": "\n\n",
        "padding_helptext_first_line": (0, 0, 1, 0),
        "command_groups": {
            "taskservice": [
                {"name": panel, "commands": [str(member.name) for member in members]}
                for panel, members in PANELS.items()
            ]
        },
    }
)
def commands() -> None:
    """A declarative scheduler: tasks in a folder of YAML files, changed and watched over HTTP."""


for command in chain.from_iterable(PANELS.values()):
    commands.add_command(command)
