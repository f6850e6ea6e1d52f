"""Who may speak to the API."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from taskservice.settings.values import entries
from taskservice.settings.wrong_value import WrongValue

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

LEAST = 16
"""Characters that a token should have."""

_NAME = re.compile(r"[\w.@-]{1,64}")
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """Who may speak to the API: a name and a role, and of the token only its SHA-256.

    `short` tells that it has fewer than `LEAST` characters, and so may be guessed.
    """

    name: str
    role: Role
    token_hash: bytes = field(repr=False)
    short: bool = field(default=False, compare=False, repr=False)


def api_tokens(text: str) -> tuple[ApiToken, ...]:
    tokens: list[ApiToken] = []
    for entry in entries(text):
        token = _api_token(entry)
        if any(token.name == other.name for other in tokens):
            raise WrongValue("each name may stand once", shown=_without_token(entry))
        if any(token.token_hash == other.token_hash for other in tokens):
            raise WrongValue("each token may stand once", shown=_without_token(entry))
        tokens.append(token)
    return tuple(tokens)


def _api_token(entry: str) -> ApiToken:
    name, role_text, token = [*entry.split(":", 2), "", ""][:3]
    role = next((role for role in ROLES if role == role_text), None)
    if role is None or not _NAME.fullmatch(name) or not _TOKEN.fullmatch(token):
        raise WrongValue(
            "it must be name:role:token, separated by commas; a name has 1 to 64 letters, digits "
            "or . _ - @, a role is viewer, operator or admin, and a token has signs of ASCII "
            "and no space",
            shown=_without_token(entry),
        )
    return ApiToken(name=name, role=role, token_hash=hash_of(token), short=len(token) < LEAST)


def _without_token(entry: str) -> str:
    """The entry without its last part, nor any other that is long enough to be a token."""
    *parts, _ = entry.split(":", 2)
    shown = (part if part in ROLES or len(part) < 8 else "***" for part in parts)
    return ":".join([*shown, "***"])


def is_name(text: str) -> bool:
    """Whether a text can be the name of a token."""
    return _NAME.fullmatch(text) is not None


def hash_of(token: str) -> bytes:
    """The SHA-256 of a token, by which it is known."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
