"""Where the database is."""

import os
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from taskservice.settings.wrong_value import WrongValue

_SQLITE = "sqlite+aiosqlite:///"
_MYSQL = "mysql+asyncmy://"
_SQLITE_FILE = re.compile(r"(?!:memory:|file:)[^?]*[^?/]")
_SHOWABLE_URL = re.compile(
    r"([\w+]+://)([^@/?#]*@)?([\w.-]*(?::\d*)?(?:/[^?#@:]*)?)(?:[?#][^@]*)?", re.ASCII
)

# Those that SQLAlchemy and asyncmy have for TLS, with a socket's place and the only charset.
_PARAMETERS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "ssl_ca": ("a file that exists", os.path.isfile),
    "ssl_capath": ("a folder that exists", os.path.isdir),
    "ssl_cert": ("a file that exists", os.path.isfile),
    "ssl_key": ("a file that exists", os.path.isfile),
    "ssl_cipher": ("a list of ciphers", bool),
    "ssl_check_hostname": ("true or false", lambda value: value in ("true", "false")),
    "unix_socket": ("a path", bool),
    "charset": ("utf8mb4", lambda value: value == "utf8mb4"),
}


def database_url(text: str) -> str:
    if text.startswith(_SQLITE):
        sound = bool(_SQLITE_FILE.fullmatch(text.removeprefix(_SQLITE)))
        allowed = f"it must be {_SQLITE}FILE, a file on disk and no parameters"
    elif text.startswith(_MYSQL):
        sound = _is_mysql(text)
        allowed = f"it must be {_MYSQL}USER:PASSWORD@HOST/DATABASE, with / @ : # percent-encoded"
        if sound and (reason := _wrong_parameter(text)):
            sound, allowed = False, reason
    else:
        sound = False
        allowed = f"it must be {_SQLITE}FILE or {_MYSQL}USER:PASSWORD@HOST/DATABASE"
    if not sound:
        raise WrongValue(allowed, shown=without_secrets(text))
    return text


def _is_mysql(url: str) -> bool:
    try:
        parts = urlsplit(url)
        placed = bool(parts.hostname) and parts.port != 0 and parts.netloc.count("@") < 2
    except ValueError:
        return False
    return placed and not parts.fragment and bool(re.fullmatch(r"/[^/]+", parts.path))


def _wrong_parameter(url: str) -> str | None:
    """What is allowed of a parameter that the driver would stumble over."""
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name not in _PARAMETERS:
            return f"its parameters may be {', '.join(_PARAMETERS)}"
        says, allows = _PARAMETERS[name]
        if "\0" in value or not allows(value):
            return f"its parameter {name} must be {says}"
    return None


def without_secrets(url: str) -> str:
    """The URL without what may be a password, however the URL is malformed."""
    if url.startswith(_SQLITE):
        return url.partition("?")[0]
    if match := _SHOWABLE_URL.fullmatch(url):
        scheme, user, place = match.groups()
        return f"{scheme}{'***@' if user else ''}{place}"
    scheme, mark, _ = url.partition(":")
    return f"{scheme}:***" if mark else "***" if "@" in url else url
