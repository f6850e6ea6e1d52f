"""How commands check tasks that have no service at hand: by its rules and settings."""

import os
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import rich_click as click

from taskservice.domain.errors import Fault
from taskservice.settings import PREFIX, Settings, channel_names
from taskservice.settings.broker import longest_on

if TYPE_CHECKING:
    from taskservice.domain.task import Task
    from taskservice.sync.folder.declaring import Check


def checks_offline(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `offline_check` takes."""
    for option in (
        click.option("--timezone", help="Zone of times that name none.  [UTC]"),
        click.option(
            "--import-path", help="Folders to import functions from, separated by colons."
        ),
        click.option(
            "--functions", help="Patterns of functions that tasks may call, comma-separated."
        ),
        click.option("--env-allow", help="Patterns of variables that ${NAME} may stand for.  [*]"),
        click.option(
            "--no-import", is_flag=True, help="Import no function: look at its path alone."
        ),
    ):
        command = option(command)
    return command


def offline_zone(flag: str | None) -> tzinfo:
    """The zone of times that name none, as the flag or the environment says."""
    return _settings(timezone=flag).timezone


def offline_check(
    *,
    no_import: bool,
    functions: str | None,
    import_path: str | None,
    timezone: str | None,
    env_allow: str | None,
) -> "Check":
    """The check of a service with these flags, which go before their environment variables.

    Raises SettingsError. With `no_import` a function's path is looked at, and no more. Where no
    variable makes a channel, as on most machines that only check, any channel will do.
    """
    from taskservice.domain.checked_task import checked_task
    from taskservice.domain.placement import Placement
    from taskservice.engine.functions import Functions
    from taskservice.engine.import_path import put_in_front

    settings = _settings(
        functions=functions, import_path=import_path, timezone=timezone, env_allow=env_allow,
        celery_broker=None,
    )  # fmt: skip
    placement = Placement(
        has_broker=bool(settings.celery_broker), longest=longest_on(settings.celery_broker)
    )
    channels = channel_names(os.environ, PREFIX) or None
    put_in_front(str(folder.resolve()) for folder in settings.import_path)
    allowed = Functions(settings.functions)

    def call_faults(func_path: str, func_args: Mapping[str, object]) -> list[Fault]:
        return allowed.path_faults(func_path) if no_import else allowed.faults(func_path, func_args)

    def check(_task_id: str, fields: Mapping[str, object]) -> "Task":
        return checked_task(
            fields,
            zone=settings.timezone,
            call_faults=call_faults,
            env_allow=settings.env_allow,
            placement=placement,
            channels=channels,
        )

    return check


def _settings(**flags: str | None) -> Settings:
    """These settings alone: a wrong value of another is no matter here."""
    variables = {PREFIX + name.upper() for name in flags}
    return Settings.from_environment(
        {name: value for name, value in os.environ.items() if name in variables}, **flags
    )
