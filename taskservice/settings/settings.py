"""All settings as one value, and how they are taken from the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo

from taskservice.settings import broker, channels, database, oidc, repository, tokens, values
from taskservice.settings.channels import Channel
from taskservice.settings.tokens import ApiToken
from taskservice.settings.unknown import unknown_settings
from taskservice.settings.values import Executor
from taskservice.settings.wrong_value import WrongValue

PREFIX = "TASKSERVICE_"

T = TypeVar("T")


class SettingsError(ValueError):
    """A setting that can't be taken; its text is one line, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the service, each named as its variable without `TASKSERVICE_`.

    `port` 0 means any free one. `prune_grace`, `shutdown_grace` and `git_interval` are seconds;
    `threads` and `processes` are how many executions each executor runs side by side.
    `log_retention` None keeps executions for ever, `event_retention` None the audit trail;
    `output_limit` is bytes, `start_timeout` the seconds that an execution may wait in a queue.
    `url` is the service's address as people reach it; `channels` are by name, and `notify` is YAML.
    With `git_url` a repository is followed, `tasks_dir` is where it is kept, and `git_signers`
    whose commits go live; the other URLs and the secrets are never to be shown.
    """

    database_url: str = field(default="sqlite+aiosqlite:///taskservice.db", repr=False)
    tasks_dir: Path = Path("tasks.d")
    host: str = "127.0.0.1"
    port: int = 8000
    functions: tuple[str, ...] = ("taskservice.examples.*",)
    import_path: tuple[Path, ...] = ()
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    api_tokens: tuple[ApiToken, ...] = ()
    prune_grace: float = 86400.0
    executor: Executor = "local"
    threads: int = 2000
    processes: int = 64
    shutdown_grace: float = 30.0
    log_retention: timedelta | None = timedelta(days=90)
    event_retention: timedelta | None = timedelta(days=400)
    require_reason: tuple[str, ...] = ()
    output_limit: int = 256 * 1024
    env_allow: tuple[str, ...] = ("*",)
    celery_broker: str = field(default="", repr=False)
    celery_queue: str = "taskservice"
    start_timeout: float = 300.0
    url: str = ""
    channels: Mapping[str, Channel] = field(default_factory=dict)
    webhook_secret: str = field(default="", repr=False)
    notify: str = ""
    notify_system: str = ""
    heartbeat: Channel | None = field(default=None, repr=False)
    git_url: str = field(default="", repr=False)
    git_branch: str = "main"
    git_path: str = ""
    git_interval: float = 30.0
    git_webhook_secret: str = field(default="", repr=False)
    git_signers: Path | None = None
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_roles: tuple[oidc.GroupRole, ...] = ()

    def __post_init__(self) -> None:
        if self.executor == "celery" and not self.celery_broker:
            raise SettingsError(
                f"{PREFIX}EXECUTOR is 'celery': that needs a broker, {PREFIX}CELERY_BROKER"
            )
        if self.notify_system and self.notify_system not in self.channels:
            raise SettingsError(
                f"{PREFIX}NOTIFY_SYSTEM is {self.notify_system!r}: there is no such channel; it is "
                f"made by {PREFIX}{channels.VARIABLE}{self.notify_system.upper()}"
            )
        given = {
            "OIDC_CLIENT_ID": self.oidc_client_id, "OIDC_ROLES": self.oidc_roles, "URL": self.url
        }  # fmt: skip
        lacking = [f"{PREFIX}{name}" for name, value in given.items() if not value]
        if self.oidc_issuer and lacking:
            raise SettingsError(
                f"{PREFIX}OIDC_ISSUER is {self.oidc_issuer!r}: that needs {', '.join(lacking)} too"
            )
        if self.git_signers and not self.git_url:
            raise SettingsError(
                f"{PREFIX}GIT_SIGNERS is {str(self.git_signers)!r}: it is for a repository that is "
                f"followed, {PREFIX}GIT_URL"
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **flags: object) -> Self:
        """The settings that `environ` gives; a flag that is not None goes before its variable.

        Flags are named as the fields here. Raises SettingsError for the first wrong value.
        """
        if unknown := flags.keys() - _READERS.keys():
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        readers = dict(_READERS)
        if environ.get(f"{PREFIX}GIT_URL"):
            readers["tasks_dir"] = values.folder_to_make
        taken: dict[str, Any] = {}
        for name, reader in readers.items():
            variable = PREFIX + name.upper()
            flag = flags.get(name)
            if flag is not None:
                place = f"--{name.replace('_', '-')} ({variable})"
                taken[name] = _read(place, str(flag), reader)
            elif variable in environ:
                taken[name] = _read(variable, environ[variable], reader)
        return cls(channels=_channels(environ), **taken)

    @staticmethod
    def unknown(environ: Mapping[str, str]) -> dict[str, str]:
        """The variables `TASKSERVICE_*` that are none, each with the nearest one or ""."""
        given = (name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
        found = unknown_settings(given, (name.upper() for name in _READERS))
        return {PREFIX + name: near and PREFIX + near for name, near in found.items()}

    @property
    def shown_database_url(self) -> str:
        """The database URL as it may be logged: without user, password and parameters."""
        return database.without_secrets(self.database_url)

    @property
    def shown_broker(self) -> str:
        """The broker's URL as it may be shown: without user, password and parameters."""
        return database.without_secrets(self.celery_broker)

    @property
    def shown_git_url(self) -> str:
        """The repository's URL as it may be shown: without user and password."""
        return repository.shown_git_url(self.git_url)


def _channels(environ: Mapping[str, str]) -> dict[str, Channel]:
    begin = PREFIX + channels.VARIABLE
    found: dict[str, Channel] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(begin) or not text:
            continue
        made = _read(variable, text, partial(channels.channel, variable.removeprefix(begin)))
        if made.name in found:
            raise SettingsError(f"{variable}: there are two variables of the channel {made.name!r}")
        found[made.name] = made
    return found


def _read(place: str, text: str, reader: Callable[[str], T]) -> T:
    try:
        return reader(text)
    except WrongValue as refused:
        shown = text if refused.shown is None else refused.shown
        raise SettingsError(f"{place} is {shown!r}: {refused}") from None


_READERS: dict[str, Callable[[str], object]] = {
    "database_url": database.database_url,
    "tasks_dir": values.tasks_dir,
    "host": values.host,
    "port": values.port,
    "functions": values.functions,
    "import_path": values.import_path,
    "timezone": values.timezone,
    "api_tokens": tokens.api_tokens,
    "prune_grace": values.seconds,
    "executor": values.executor,
    "threads": values.places,
    "processes": values.places,
    "shutdown_grace": values.seconds,
    "log_retention": values.retention,
    "event_retention": values.retention,
    "require_reason": values.require_reason,
    "output_limit": values.output_limit,
    "env_allow": values.env_allow,
    "celery_broker": broker.broker_url,
    "celery_queue": broker.queue,
    "start_timeout": values.start_timeout,
    "url": channels.public_url,
    "webhook_secret": channels.webhook_secret,
    "notify": channels.rules,
    "notify_system": channels.system_channel,
    "heartbeat": channels.heartbeat,
    "git_url": repository.git_url,
    "git_branch": repository.git_branch,
    "git_path": repository.git_path,
    "git_interval": repository.git_interval,
    "git_webhook_secret": repository.git_webhook_secret,
    "git_signers": repository.git_signers,
    "oidc_issuer": oidc.issuer,
    "oidc_client_id": oidc.client_text,
    "oidc_client_secret": oidc.client_text,
    "oidc_roles": oidc.group_roles,
}
