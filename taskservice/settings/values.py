"""How the values of variables are read: each takes a text, and raises `WrongValue`."""

import ipaddress
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from taskservice.settings.wrong_value import WrongValue

Executor = Literal["local", "process", "celery"]
EXECUTORS: tuple[Executor, ...] = get_args(Executor)

REASONED = ("pause", "resume", "change", "delete", "revert", "trigger", "cancel")
"""What may be made to need a reason."""

MOST_PLACES = 10_000
"""How many executions one executor may be told to run side by side."""

LONGEST_SPAN = timedelta(days=36500)
LEAST_OUTPUT = 1024
MOST_OUTPUT = 4 * 1024 * 1024
"""A column of MySQL takes it, and a packet of 16 MiB, whatever its bytes come to as text."""

_SIZE = re.compile(r"([0-9]{1,7})(KiB|MiB)")
_SIZES = {"KiB": 1024, "MiB": 1024 * 1024}

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PATTERN = re.compile(r"[\w.:*?]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIABLES = re.compile(r"[A-Za-z0-9_*?]+")


def tasks_dir(text: str) -> Path:
    if not _is_folder(text):
        raise WrongValue("it must be a folder that exists")
    return Path(text)


def folder_to_make(text: str) -> Path:
    """The folder of a repository's copy, which is made where there is none."""
    if not text or "\0" in text or (os.path.lexists(text) and not Path(text).is_dir()):
        raise WrongValue("it must be a folder; it is made if there is none")
    return Path(text)


def import_path(text: str) -> tuple[Path, ...]:
    parts = text.split(os.pathsep) if text else []
    if not all(map(_is_folder, parts)):
        raise WrongValue(f"it must be folders that exist, separated by {os.pathsep!r}")
    return tuple(map(Path, parts))


def _is_folder(text: str) -> bool:
    return bool(text) and "\0" not in text and Path(text).is_dir()


def host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise WrongValue("it must be an IP address or a host's name") from None
    return text


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise WrongValue("it must be a number from 0 to 65535 (0: any free port)")
    return int(text)


def places(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= MOST_PLACES:
        raise WrongValue(f"it must be a number from 1 to {MOST_PLACES}")
    return int(text)


def functions(text: str) -> tuple[str, ...]:
    patterns = entries(text)
    if not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
        raise WrongValue("it must be patterns such as package.module.*, separated by commas")
    return patterns


def env_allow(text: str) -> tuple[str, ...]:
    patterns = entries(text)
    if not all(_VARIABLES.fullmatch(pattern) for pattern in patterns):
        raise WrongValue("it must be patterns of variables such as DB_*, separated by commas")
    return patterns


def require_reason(text: str) -> tuple[str, ...]:
    actions = entries(text)
    if not set(actions) <= set(REASONED):
        raise WrongValue(f"it must be some of {', '.join(REASONED)}, separated by commas")
    return actions


def entries(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated list; empty text has none, `a,,b` has an empty one."""
    return tuple(entry.strip() for entry in text.split(",")) if text.strip() else ()


def timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise WrongValue("it must be an IANA time zone, such as UTC or Europe/Berlin") from None


def seconds(text: str) -> float:
    return _span(text).total_seconds()


def start_timeout(text: str) -> float:
    span = _span(text)
    if span < timedelta(seconds=1):
        raise WrongValue("it must be a second or more")
    return span.total_seconds()


def retention(text: str) -> timedelta | None:
    if not text:
        return None
    span = _span(text)
    if not span:
        raise WrongValue("it must be longer than nothing; empty means never")
    return span


def output_limit(text: str) -> int:
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _SIZES[match[2]] if match else 0
    if not LEAST_OUTPUT <= size <= MOST_OUTPUT:
        raise WrongValue("it must be a size such as 256KiB or 1MiB, from 1KiB to 4MiB")
    return size


def _span(text: str) -> timedelta:
    """A span such as `90d`, `12h`, `30m`, `45s`, or plain seconds."""
    match = _SPAN.fullmatch(text)
    try:
        span = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else None
    except OverflowError:
        span = None
    if span is None or span > LONGEST_SPAN:
        raise WrongValue(
            f"it must be seconds, or a span such as 45s, 30m, 12h or 90d, "
            f"and at most {LONGEST_SPAN.days}d"
        )
    return span


def executor(text: str) -> Executor:
    for executor in EXECUTORS:
        if text == executor:
            return executor
    raise WrongValue(f"it must be {', '.join(EXECUTORS[:-1])} or {EXECUTORS[-1]}")
