"""What is said once, on the next page: the outcome of a change, kept in a cookie until then."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal

from litestar import Request
from litestar.datastructures import Cookie

COOKIE = "flash"
SECONDS = 60
LONGEST = 600
"""Characters: a cookie holds 4 KiB."""

Kind = Literal["done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """A message, and whether it is good news."""

    kind: Kind
    text: str


def cookie(kind: Kind, text: str) -> Cookie:
    """The cookie that has a message said on the next page."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    value = base64.urlsafe_b64encode(json.dumps([kind, shown], ensure_ascii=False).encode())
    return Cookie(
        key=COOKIE, value=value.decode(), max_age=SECONDS, httponly=True, samesite="strict"
    )


def read(request: Request[Any, Any, Any]) -> Flash | None:
    """The message that a request brings along."""
    try:
        said = json.loads(base64.urlsafe_b64decode(request.cookies.get(COOKIE, "")))
    except ValueError:
        return None
    match said:
        case ["done" | "failed" as kind, str(text)]:
            return Flash(kind=kind, text=text)
    return None
