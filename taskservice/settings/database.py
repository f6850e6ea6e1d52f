"""Where the database is."""

import re
from urllib.parse import urlsplit

from taskservice.settings.refused import Refused

_SQLITE = "sqlite+aiosqlite:///"
_MYSQL = "mysql+asyncmy://"
_SQLITE_FILE = re.compile(r"(?!:memory:|file:)[^?]*[^?/]")
_SHOWABLE_URL = re.compile(
    r"([\w+]+://)([^@/?#]*@)?([\w.-]*(?::\d*)?(?:/[^?#@:]*)?)(?:[?#][^@]*)?", re.ASCII
)


def database_url(text: str) -> str:
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
        raise Refused(allowed, shown=without_secrets(text))
    return text


def _is_mysql(url: str) -> bool:
    try:
        parts = urlsplit(url)
        placed = bool(parts.hostname) and parts.port != 0 and parts.netloc.count("@") < 2
    except ValueError:
        return False
    return placed and not parts.fragment and bool(re.fullmatch(r"/[^/]+", parts.path))


def without_secrets(url: str) -> str:
    """The URL without what may be a password, however the URL is malformed."""
    if url.startswith(_SQLITE):
        return url.partition("?")[0]
    if match := _SHOWABLE_URL.fullmatch(url):
        scheme, user, place = match.groups()
        return f"{scheme}{'***@' if user else ''}{place}"
    scheme, mark, _ = url.partition(":")
    return f"{scheme}:***" if mark else "***" if "@" in url else url
