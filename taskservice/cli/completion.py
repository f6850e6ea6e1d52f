"""Shell completion: the script, and the ids that the service knows."""

import os

import rich_click as click
from click.shell_completion import CompletionItem, get_completion_class

from taskservice.cli.client import (
    DEFAULT_SERVER,
    SERVER_VARIABLE,
    TOKEN_VARIABLE,
    Client,
    ClientError,
    task_path,
)
from taskservice.cli.escaping import for_terminal

COMPLETE_VARIABLE = "_TASKSERVICE_COMPLETE"
SECONDS = 1.0
"""How long somebody who presses the tab key waits for a service that does not answer."""


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script for completion in bash, zsh or fish.

    It completes commands, options and, where the service answers, the ids of tasks.

    \b
    Examples:
      eval "$(taskservice completion bash)"     in ~/.bashrc
      eval "$(taskservice completion zsh)"      in ~/.zshrc
      taskservice completion fish | source      in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click has all three"
    command = context.find_root().command
    click.echo(kind(command, {}, "taskservice", COMPLETE_VARIABLE).source())


def complete_tasks(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of tasks that begin with what is typed; none where the service does not answer."""
    try:
        with _client(context) as client:
            found = client.get("/task-manage/", q=incomplete or None, size=1000)["items"]
    except ClientError:
        return []
    return [
        CompletionItem(task["id"], help=for_terminal(task["name"]))
        for task in found
        if task["id"].startswith(incomplete) and for_terminal(task["id"]) == task["id"]
    ]


def complete_executions(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The latest executions of the task that is typed before."""
    try:
        with _client(context) as client:
            path = task_path(context.params.get("task_id") or "", "logs")
            found = client.get(path, size=50)["items"]
    except ClientError:
        return []
    return [
        CompletionItem(row["id"], help=for_terminal(f"{row['status']} {row['start_time']}"))
        for row in found
        if row["id"].startswith(incomplete) and for_terminal(row["id"]) == row["id"]
    ]


def _client(context: click.Context) -> Client:
    server = context.params.get("server") or os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER
    return Client(server, os.environ.get(TOKEN_VARIABLE), answer_seconds=SECONDS)
