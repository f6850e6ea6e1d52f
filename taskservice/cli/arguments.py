"""Arguments and options that several commands have."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import rich_click as click

from taskservice.cli.completion import complete_executions, complete_tasks

TASK_STATUSES = ("pending", "running", "paused", "completed", "failed")
EXECUTION_STATUSES = (
    "queued", "running", "completed", "failed", "skipped", "missed", "cancelled",
)  # fmt: skip
OPEN_STATUSES = ("queued", "running")
"""Those of executions that have not ended."""

TRIGGER_TYPES = ("date", "interval", "cron")
SOURCES = ("file", "api")
ACTIONS = (
    "created", "changed", "overridden", "reverted", "expired", "paused", "resumed", "deleted",
    "restored", "retired", "returned", "pruned", "triggered", "cancelled", "backfilled",
    "silenced", "unsilenced", "adopted", "declared", "frozen", "unfrozen", "synced",
    "token_created", "token_revoked", "signed_in", "refused",
)  # fmt: skip
DRIFTS = ("in_sync", "overridden", "conflict")

_SPAN = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

task_argument = click.argument("task_id", metavar="TASK", shell_complete=complete_tasks)
tasks_argument = click.argument(
    "task_ids", metavar="TASK...", nargs=-1, required=True, shell_complete=complete_tasks
)
execution_argument = click.argument("log_id", metavar="LOG_ID", shell_complete=complete_executions)


def override_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--reason` and `--until`, which are kept with the override it makes."""
    reason = click.option("--reason", metavar="TEXT", help="Why; kept with the override.")
    until = click.option(
        "--until",
        metavar="TIME",
        help="When it ends by itself: 2026-01-31T08:00:00+01:00, or a span like 30s, 90m, 2h, 3d.",
    )
    return reason(until(command))


reason_option = click.option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")


def ahead(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """A click callback for times to come: the moment after a span."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    if not span or not int(span[1]):
        raise click.BadParameter(f"{text!r} is no span of time like 30s, 90m, 12h or 90d")
    try:
        return datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])})
    except OverflowError:
        raise click.BadParameter(f"{text!r} is longer than there are dates") from None


def ago(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """A click callback for past times: a span becomes the moment that long ago."""
    span = _SPAN.fullmatch(text or "")
    if not span:
        return text
    try:
        moment = datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
    except OverflowError:
        raise click.BadParameter(f"{text!r} is longer than there have been dates") from None
    return moment.isoformat()
