"""The provider by which people sign in to the console, and what its groups may."""

from urllib.parse import urlsplit

from taskservice.settings.tokens import ROLES, Role
from taskservice.settings.values import entries, is_loopback
from taskservice.settings.wrong_value import WrongValue

GroupRole = tuple[str, Role]


def issuer(text: str) -> str:
    """An issuer's URL, exactly as it calls itself: with or without a slash at its end."""
    if not text:
        return text
    try:
        parts = urlsplit(text)
        sound = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        sound = False
    safe = sound and (parts.scheme == "https" or is_local(text))
    if not safe or parts.username is not None or not text.isprintable() or " " in text:
        raise WrongValue("it must be https://…, the URL by which the provider calls itself")
    return text


def is_local(url: str) -> bool:
    """Whether an URL is of plain HTTP on this machine, where nobody listens on the wire."""
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def client_text(text: str) -> str:
    """A client's name or its secret at the provider; it is not shown."""
    if not text.isprintable() or text != text.strip() or len(text) > 1000:
        raise WrongValue("it must be one line of text, without space around it", shown="***")
    return text


def group_roles(text: str) -> tuple[GroupRole, ...]:
    """The roles of groups, which may have spaces in their names."""
    found: dict[str, Role] = {}
    for entry in entries(text):
        group, _, given = entry.rpartition("=")
        role = next((one for one in ROLES if one == given.strip()), None)
        if role is None or not group.strip():
            roles = ", ".join(ROLES)
            raise WrongValue(f"it must be group=role, separated by commas; roles are {roles}")
        if group.strip() in found:
            raise WrongValue("each group may stand once")
        found[group.strip()] = role
    return tuple(found.items())
