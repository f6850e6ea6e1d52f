"""`taskservice token`: tokens that are stored in the database, made, listed and revoked."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from taskservice.cli.arguments import ahead
from taskservice.cli.describe import when_in_table
from taskservice.cli.output import output_option, print_json, print_table, relative_time, say
from taskservice.settings import ROLES, Role, Settings, entries, is_name

if TYPE_CHECKING:
    from taskservice.service.tokens import Tokens
    from taskservice.storage.api_tokens import StoredToken

T = TypeVar("T")

LONGEST_USER = 64


@click.group(no_args_is_help=False)
def token() -> None:
    """Make, list and revoke tokens for the API and the console.

    They are kept in the database of TASKSERVICE_DATABASE_URL, each as its SHA-256; what is made or
    revoked counts within 2.5 seconds, on every service that runs on it.

    \b
    Examples:
      taskservice token create ci --role operator --expires 90d
      taskservice token list
      taskservice token revoke ci
    """


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it may.")
@click.option(
    "--tags",
    metavar="TAGS",
    help="Only for tasks that bear one of these, comma-separated.  [all tasks]",
)
@click.option(
    "--expires",
    metavar="SPAN",
    callback=ahead,
    help="After what time it is good no more, like 12h or 90d.  [never]",
)
@output_option
def create(name: str, role: Role, tags: str | None, expires: datetime | None, output: str) -> None:
    """Make a token, and print it: this once, for it is kept nowhere.

    \b
    Examples:
      taskservice token create ann --role admin
      taskservice token create ci --role operator --expires 90d
      taskservice token create bob --role operator --tags billing,reports
    """
    if not is_name(name):
        raise click.BadParameter(
            f"{name!r}: a name has 1 to 64 letters, digits or . _ - @", param_hint="NAME"
        )

    async def work(tokens: "Tokens") -> "tuple[StoredToken, str]":
        words = None if tags is None else list(dict.fromkeys(entries(tags)))
        return await tokens.create(name, role, tags=words, expires_at=expires, by=user())

    made, text = _done(work)
    if output == "json":
        print_json({**_as_json(made), "token": text})
        return
    narrowed = "" if made.tags is None else f", for tasks with {' or '.join(made.tags)}"
    say(f"{made.name}: {made.role}{narrowed}. Keep it, it is not shown again:", err=True)
    say(text)


@token.command("list")
@output_option
def list_tokens(output: str) -> None:
    """List the tokens that were made and not revoked: all but what they are.

    \b
    Example:
      taskservice token list
    """

    async def work(tokens: "Tokens") -> "list[StoredToken]":
        return await tokens.living()

    found = [_as_json(one) for one in _done(work)]
    if output == "json":
        print_json(found)
        return
    print_table(
        ("NAME", "ROLE", "TAGS", "CREATED", "BY", "EXPIRES", "LAST USED"),
        (
            (
                each["name"],
                each["role"],
                "all tasks" if each["tags"] is None else ", ".join(each["tags"]),
                when_in_table(each["created_at"]),
                each["created_by"],
                when_in_table(each["expires_at"]),
                relative_time(each["last_used_at"]),
            )
            for each in found
        ),
        whole=("NAME", "ROLE"),
        roomy=("CREATED", "BY"),
    )


@token.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End a token, the sessions that were begun with it, and what is streamed to them.

    \b
    Example:
      taskservice token revoke ci
    """

    async def work(tokens: "Tokens") -> None:
        await tokens.revoke(name, by=user())

    _done(work)
    say(f"{name}: revoked")


def user() -> str:
    """Who types this, as the system knows them."""
    try:
        return getpass.getuser()[:LONGEST_USER]
    except (KeyError, OSError):  # a container may run as somebody who has no name
        return f"uid {os.getuid()}"


def _done(work: "Callable[[Tokens], Awaitable[T]]") -> T:
    """What comes of work on the tokens of the database that the environment names."""
    # The database takes a moment to import: no other command waits for it.
    from taskservice.service.tokens import opened

    settings = Settings.from_environment(os.environ)

    async def run() -> T:
        async with opened(settings) as tokens:
            return await work(tokens)

    return asyncio.run(run())


def _as_json(token: "StoredToken") -> dict[str, Any]:
    """What is told of a token."""
    told: dict[str, Any] = {name: getattr(token, name) for name in _TOLD}
    for name in _TIMES:
        told[name] = told[name] and told[name].isoformat()
    return told


_TIMES = ("created_at", "expires_at", "last_used_at")
_TOLD = ("name", "role", "tags", "created_at", "created_by", "expires_at", "last_used_at")
