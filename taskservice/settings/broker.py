"""Where Celery's broker is."""

import re
from urllib.parse import parse_qs, urlsplit, urlunsplit

from taskservice.settings.database import without_secrets
from taskservice.settings.wrong_value import WrongValue

_SCHEMES = ("redis", "rediss", "amqp", "amqps")
_QUEUE = re.compile(r"(?!amq\.|_kombu|unacked)[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

CONSUMER_TIMEOUT = 1800.0
"""Seconds that RabbitMQ gives a delivery to be acknowledged, where it isn't told otherwise.

https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
"""

_OWN_PARAMETER = "consumer_timeout"


def broker_url(text: str) -> str:
    if text and not _is_sound(text):
        raise WrongValue(
            "it must be redis://[:PASSWORD@]HOST[:PORT]/NUMBER or "
            "amqp://USER:PASSWORD@HOST[:PORT]/VHOST; of amqp with ?consumer_timeout=SECONDS if "
            "that is another one than RabbitMQ's 1800",
            shown=without_secrets(text),
        )
    return text


def _is_sound(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.port == 0:
            return False
        longest_on(url)
    except ValueError:
        return False
    if parts.scheme in ("redis", "rediss"):
        return bool(re.fullmatch(r"(/[0-9]{0,5})?", parts.path)) and not parts.fragment
    return not parts.fragment


def without_parameter(url: str) -> str:
    """The URL without the parameter that only the service knows."""
    parts = urlsplit(url)
    kept = [one for one in parts.query.split("&") if one.partition("=")[0] != _OWN_PARAMETER]
    return urlunsplit(parts._replace(query="&".join(kept)))


def is_amqp(url: str) -> bool:
    """Whether a broker is RabbitMQ, or speaks as that does."""
    return url.startswith("amqp")


def longest_on(url: str) -> float | None:
    """How many seconds a delivery may wait for its acknowledgement; None: for ever."""
    if not is_amqp(url):
        return None
    given = parse_qs(urlsplit(url).query).get(_OWN_PARAMETER, [str(CONSUMER_TIMEOUT)])[-1]
    if not re.fullmatch(r"[0-9]{1,9}(\.0)?", given):
        raise ValueError(f"{_OWN_PARAMETER} is {given!r}")
    return float(given) or None


def is_queue(text: str) -> bool:
    """Whether brokers take this for the name of a queue."""
    return bool(_QUEUE.fullmatch(text))


def queue(text: str) -> str:
    if not is_queue(text):
        raise WrongValue(
            "it must be a queue's name: 1 to 100 letters, digits, dots, dashes and underscores"
        )
    return text
