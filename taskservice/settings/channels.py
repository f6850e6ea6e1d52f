"""The channels by which people are told, each made by a variable of its own."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit, urlunsplit

from taskservice.settings.wrong_value import WrongValue

VARIABLE = "CHANNEL_"
"""What the variables of channels begin with, after `TASKSERVICE_`."""

ChannelLanguage = Literal["en", "zh"]

LEAST_SECRET = 24
"""Bytes that a webhook's secret should have: the Standard Webhooks specification."""

_NAME = re.compile("[a-z0-9][a-z0-9_]{0,39}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
_LONGEST = 4096
_HIDDEN = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where messages go: a webhook, or what Apprise makes of an URL, which is a secret.

    `private` lets a webhook's address be one of the machine's own network.
    """

    name: str
    kind: Literal["webhook", "apprise"]
    url: str = field(repr=False)
    private: bool = False
    language: ChannelLanguage = "en"


def channel_names(environ: Mapping[str, str], prefix: str) -> frozenset[str]:
    """The names of the channels that variables make, whatever stands in them."""
    begin = prefix + VARIABLE
    return frozenset(
        name.removeprefix(begin).lower()
        for name, value in environ.items()
        if name.startswith(begin) and value
    )


def channel(suffix: str, text: str) -> Channel:
    """The channel of the variable `CHANNEL_` and this suffix."""
    name = suffix.lower()
    if not _NAME.fullmatch(name):
        raise WrongValue(
            "the variable must end with 1 to 40 letters, digits and underscores", shown=_HIDDEN
        )
    if len(text) > _LONGEST or not _URL.fullmatch(text):
        raise WrongValue("it must be an Apprise URL, or https://… for a webhook", shown=_HIDDEN)
    scheme = text.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        url, given = _without(text, ("lang",))
        return Channel(name=name, kind="apprise", url=url, language=_language(given))
    url, given = _without(text, ("private", "lang"))
    private = given.get("private", "no")
    if private not in ("yes", "no"):
        raise WrongValue("its parameter private must be yes or no", shown=_HIDDEN)
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        sound = False
    if not sound:
        raise WrongValue("it must be https://HOST[:PORT]/… for a webhook", shown=_HIDDEN)
    if scheme == "http" and private != "yes":
        raise WrongValue(
            "http:// is for the machine's own network: say so with ?private=yes", shown=_HIDDEN
        )
    return Channel(
        name=name, kind="webhook", url=url, private=private == "yes", language=_language(given)
    )


def heartbeat(text: str) -> Channel | None:
    """Where it is told, again and again, that the service schedules; None where nowhere."""
    if not text:
        return None
    made = channel("HEARTBEAT", text)
    if made.kind != "webhook":
        raise WrongValue("it must be https://…", shown=_HIDDEN)
    return made


def _without(url: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The URL without parameters that only the service knows, and what they are."""
    head, mark, rest = url.partition("?")
    query, hash_mark, fragment = rest.partition("#")
    parts = [one.partition("=") for one in query.split("&")]
    given = {name: value for name, _, value in parts if name in names}
    kept = "&".join("".join(part) for part in parts if part[0] not in names)
    return f"{head}{mark if kept else ''}{kept}{hash_mark}{fragment}", given


def _language(given: Mapping[str, str]) -> ChannelLanguage:
    for language in get_args(ChannelLanguage):
        if given.get("lang", "en") == language:
            return language  # type: ignore[no-any-return]
    raise WrongValue("its parameter lang must be en or zh", shown=_HIDDEN)


def secret_bytes(text: str) -> bytes:
    """The bytes of a webhook's secret; raises ValueError where it is no base64."""
    given = text.removeprefix("whsec_").rstrip("=")
    return base64.b64decode(given + "=" * (-len(given) % 4), validate=True)


def webhook_secret(text: str) -> str:
    try:
        sound = bool(secret_bytes(text)) or not text
    except (ValueError, binascii.Error):
        sound = False
    if not sound or len(text) > _LONGEST:
        raise WrongValue(
            "it must be base64, with whsec_ in front or without, as Standard Webhooks has it",
            shown=_HIDDEN,
        )
    return text


def public_url(text: str) -> str:
    """The service's own address, without a slash at its end."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        sound = plain = False
    if text and not (sound and plain and text.isascii() and text.isprintable() and " " not in text):
        raise WrongValue(
            "it must be https://HOST[:PORT][/PATH], the address of the service",
            shown=_HIDDEN if "@" in text else None,
        )
    return urlunsplit(urlsplit(text)).rstrip("/") if text else ""


def rules(text: str) -> str:
    """YAML, which is read where YAML is."""
    if len(text) > 64 * 1024:
        raise WrongValue("it must have at most 64 KiB", shown="long")
    return text


def system_channel(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise WrongValue("it must be a channel's name")
    return text
