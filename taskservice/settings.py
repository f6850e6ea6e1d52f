"""The settings: what the environment says, checked and typed, or one clear line about it.

This module imports nothing of the package; service, web and cli read it.
"""

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

Role = Literal["viewer", "operator", "admin"]
Executor = Literal["local", "process"]
ROLES: tuple[Role, ...] = get_args(Role)
EXECUTORS: tuple[Executor, ...] = get_args(Executor)

PREFIX = "TASKSERVICE_"
LONGEST_SPAN = timedelta(days=36500)

_SQLITE = "sqlite+aiosqlite:///"
_MYSQL = "mysql+asyncmy://"
_SQLITE_FILE = re.compile(r"(?!:memory:|file:)[^?]*[^?/]")
_SHOWABLE_URL = re.compile(
    r"([\w+]+://)([^@/?#]*@)?([\w.-]*(?::\d*)?(?:/[^?#@:]*)?)(?:[?#][^@]*)?", re.ASCII
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PATTERN = re.compile(r"[\w.:*?]+")
_NAME = re.compile(r"[\w.@-]{1,64}")
_TOKEN = re.compile(r"[!-~]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_GIT_HOST = r"(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])"
_GIT_URL = re.compile(
    rf"(?P<shown>(?P<scheme>https?|ssh|git)://)(?:(?P<user>[^@/?#\s]*)@)?"
    rf"(?P<place>{_GIT_HOST}(?::\d{{1,5}})?/[^@?#\s]+)",
    re.ASCII,
)
_GIT_SCP = re.compile(rf"(?:[\w.][\w.-]*@)?(?P<place>{_GIT_HOST}:(?!:|//)[^@?#\s]+)", re.ASCII)
_NO_BRANCH = re.compile(
    r"-.*|@|.*(\.\.|@\{|//|/\.|\.lock/).*|[./].*|.*(\.lock|[./])|.*[\x00-\x20\x7f~^:?*[\\].*|",
    re.DOTALL,
)


class SettingsError(ValueError):
    """A setting that can't be taken; its text is one line, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """Who may speak to the API: a name and a role, and of the token only its SHA-256."""

    name: str
    role: Role
    token_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the service, each named as its variable without `TASKSERVICE_`.

    `port` 0 means any free one. `prune_grace`, `shutdown_grace` and `git_interval` are seconds;
    `log_retention` None keeps executions for ever. With `git_url` a repository is followed, and
    `tasks_dir` is where it is kept; the URL and the webhook's secret are never to be shown.
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
    shutdown_grace: float = 30.0
    log_retention: timedelta | None = timedelta(days=90)
    git_url: str = field(default="", repr=False)
    git_branch: str = "main"
    git_path: str = ""
    git_interval: float = 30.0
    git_webhook_secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.api_tokens and not _is_loopback(self.host):
            raise SettingsError(
                f"{PREFIX}HOST is {self.host!r}: without {PREFIX}API_TOKENS the service listens "
                "on loopback only (127.0.0.1, ::1 or localhost)"
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
            readers["tasks_dir"] = _folder_to_make
        values: dict[str, Any] = {}
        for name, reader in readers.items():
            variable = PREFIX + name.upper()
            flag = flags.get(name)
            if flag is not None:
                place = f"--{name.replace('_', '-')} ({variable})"
                values[name] = _read(place, str(flag), reader)
            elif variable in environ:
                values[name] = _read(variable, environ[variable], reader)
        return cls(**values)

    @property
    def shown_database_url(self) -> str:
        """The database URL as it may be logged: without user, password and parameters."""
        return _without_secrets(self.database_url)

    @property
    def shown_git_url(self) -> str:
        """The repository's URL as it may be shown: without user and password."""
        match = _GIT_URL.fullmatch(self.git_url) or _GIT_SCP.fullmatch(self.git_url)
        if not match:
            return self.git_url
        return match.groupdict().get("shown", "") + match["place"]

    def principal_of(self, token: str) -> ApiToken | None:
        """Whose token this is, or None; takes as long for a wrong one as for a right one."""
        token_hash = _hash(token)
        found = None
        for known in self.api_tokens:
            if hmac.compare_digest(known.token_hash, token_hash):
                found = known
        return found


class _Refused(Exception):
    """Why a value is refused; `shown` stands for the value where that may hold a secret."""

    def __init__(self, allowed: str, *, shown: str | None = None) -> None:
        super().__init__(allowed)
        self.shown = shown


def _read(place: str, text: str, reader: Callable[[str], object]) -> object:
    try:
        return reader(text)
    except _Refused as refused:
        shown = text if refused.shown is None else refused.shown
        raise SettingsError(f"{place} is {shown!r}: {refused}") from None


def _database_url(text: str) -> str:
    if text.startswith(_SQLITE):
        sound = bool(_SQLITE_FILE.fullmatch(text.removeprefix(_SQLITE)))
        allowed = f"it must be {_SQLITE}FILE, a file on disk and no parameters"
    elif text.startswith(_MYSQL):
        sound = _is_mysql(text)
        allowed = f"it must be {_MYSQL}USER:PASSWORD@HOST/DATABASE, with / @ : # percent-encoded"
    else:
        sound = False
        allowed = f"it must be {_SQLITE}FILE or {_MYSQL}USER:PASSWORD@HOST/DATABASE"
    if not sound:
        raise _Refused(allowed, shown=_without_secrets(text))
    return text


def _is_mysql(url: str) -> bool:
    try:
        parts = urlsplit(url)
        placed = bool(parts.hostname) and parts.port != 0 and parts.netloc.count("@") < 2
    except ValueError:
        return False
    return placed and not parts.fragment and bool(re.fullmatch(r"/[^/]+", parts.path))


def _without_secrets(url: str) -> str:
    """The URL without what may be a password, however the URL is malformed."""
    if url.startswith(_SQLITE):
        return url.partition("?")[0]
    if match := _SHOWABLE_URL.fullmatch(url):
        scheme, user, place = match.groups()
        return f"{scheme}{'***@' if user else ''}{place}"
    scheme, mark, _ = url.partition(":")
    return f"{scheme}:***" if mark else "***" if "@" in url else url


def _tasks_dir(text: str) -> Path:
    if not _is_folder(text):
        raise _Refused("it must be a folder that exists")
    return Path(text)


def _folder_to_make(text: str) -> Path:
    """The folder of a repository's copy, which is made where there is none."""
    if not text or "\0" in text or (os.path.lexists(text) and not Path(text).is_dir()):
        raise _Refused("it must be a folder; it is made if there is none")
    return Path(text)


def _import_path(text: str) -> tuple[Path, ...]:
    parts = text.split(os.pathsep) if text else []
    if not all(map(_is_folder, parts)):
        raise _Refused(f"it must be folders that exist, separated by {os.pathsep!r}")
    return tuple(map(Path, parts))


def _is_folder(text: str) -> bool:
    return bool(text) and "\0" not in text and Path(text).is_dir()


def _host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise _Refused("it must be an IP address or a host's name") from None
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise _Refused("it must be a number from 0 to 65535 (0: any free port)")
    return int(text)


def _functions(text: str) -> tuple[str, ...]:
    patterns = _entries(text)
    if not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
        raise _Refused("it must be patterns such as package.module.*, separated by commas")
    return patterns


def _entries(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated list; empty text has none, `a,,b` has an empty one."""
    return tuple(entry.strip() for entry in text.split(",")) if text.strip() else ()


def _timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise _Refused("it must be an IANA time zone, such as UTC or Europe/Berlin") from None


def _api_tokens(text: str) -> tuple[ApiToken, ...]:
    tokens: list[ApiToken] = []
    for entry in _entries(text):
        token = _api_token(entry)
        if any(token.name == other.name for other in tokens):
            raise _Refused("each name may stand once", shown=_without_token(entry))
        if any(token.token_hash == other.token_hash for other in tokens):
            raise _Refused("each token may stand once", shown=_without_token(entry))
        tokens.append(token)
    return tuple(tokens)


def _api_token(entry: str) -> ApiToken:
    name, role_text, token = [*entry.split(":", 2), "", ""][:3]
    role = next((role for role in ROLES if role == role_text), None)
    if role is None or not _NAME.fullmatch(name) or not _TOKEN.fullmatch(token):
        raise _Refused(
            "it must be name:role:token, separated by commas; a name has 1 to 64 letters, digits "
            "or . _ - @, a role is viewer, operator or admin, and a token has signs of ASCII "
            "and no space",
            shown=_without_token(entry),
        )
    return ApiToken(name=name, role=role, token_hash=_hash(token))


def _without_token(entry: str) -> str:
    """The entry without its last part, nor any other that is long enough to be a token."""
    *parts, _ = entry.split(":", 2)
    shown = (part if part in ROLES or len(part) < 8 else "***" for part in parts)
    return ":".join([*shown, "***"])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _seconds(text: str) -> float:
    return _span(text).total_seconds()


def _log_retention(text: str) -> timedelta | None:
    if not text:
        return None
    span = _span(text)
    if not span:
        raise _Refused("it must be longer than nothing; empty means never")
    return span


def _span(text: str) -> timedelta:
    """A span such as `90d`, `12h`, `30m`, `45s`, or plain seconds."""
    match = _SPAN.fullmatch(text)
    try:
        span = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else None
    except OverflowError:
        span = None
    if span is None or span > LONGEST_SPAN:
        raise _Refused(
            f"it must be seconds, or a span such as 45s, 30m, 12h or 90d, "
            f"and at most {LONGEST_SPAN.days}d"
        )
    return span


def _executor(text: str) -> Executor:
    for executor in EXECUTORS:
        if text == executor:
            return executor
    why = "celery is not available in this version; " if text == "celery" else ""
    raise _Refused(f"{why}it must be {' or '.join(EXECUTORS)}")


def _git_url(text: str) -> str:
    """A URL that git can fetch from; a local path is made absolute."""
    if not text:
        return text
    printable = text.isprintable()
    if printable and (match := _GIT_URL.fullmatch(text)):
        user = match["user"] or ""
        if ":" in user and not match["scheme"].startswith("http"):
            raise _Refused(
                f"{match['scheme']} takes no password; set up a key", shown=_without_secrets(text)
            )
        return text
    if printable and (_GIT_SCP.fullmatch(text) or re.fullmatch(r"file:///[^?#]+", text)):
        return text
    if not printable or re.match(r"-|[^/]*:", text) or text != text.strip():
        raise _Refused(
            "it must be a URL of https, http, ssh, git or file, user@host:path, or a local path; "
            "in a user and a password, / @ : # are percent-encoded",
            shown=_without_secrets(text),
        )
    return os.path.abspath(text)


def _git_branch(text: str) -> str:
    if _NO_BRANCH.fullmatch(text) or not text.isprintable():
        raise _Refused("it must be the name of a branch, such as main or release/1")
    return text


def _git_path(text: str) -> str:
    parts = text.rstrip("/").split("/")
    sound = not text or not any(part.lower() in ("", ".", "..", ".git") for part in parts)
    if not sound or not text.isprintable():
        raise _Refused("it must be a folder's path from the top of the repository, such as tasks.d")
    return text.rstrip("/")


def _git_interval(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise _Refused("it must be longer than nothing")
    return seconds


def _git_webhook_secret(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise _Refused("it must be one line of text, without space around it", shown="***")
    return text


_READERS: dict[str, Callable[[str], object]] = {
    "database_url": _database_url,
    "tasks_dir": _tasks_dir,
    "host": _host,
    "port": _port,
    "functions": _functions,
    "import_path": _import_path,
    "timezone": _timezone,
    "api_tokens": _api_tokens,
    "prune_grace": _seconds,
    "executor": _executor,
    "shutdown_grace": _seconds,
    "log_retention": _log_retention,
    "git_url": _git_url,
    "git_branch": _git_branch,
    "git_path": _git_path,
    "git_interval": _git_interval,
    "git_webhook_secret": _git_webhook_secret,
}
