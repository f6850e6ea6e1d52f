"""How the bodies of requests are read: as plain JSON objects.

What their values must be is the domain's to say, all faults at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from taskservice.domain.errors import Fault, Invalid, Malformed
from taskservice.domain.fault_limits import of_each
from taskservice.domain.task import describe, nearest


async def json_object(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The body, which must be a JSON object in UTF-8; raises Malformed."""
    value = _decode(await _content(request))
    if not isinstance(value, dict):
        raise Malformed(f"the body must be a JSON object, not {describe(value)}")
    return value


def unknown_keys(body: Mapping[str, object], known: Sequence[str]) -> list[Fault]:
    """A fault for each key of a body that is not known; beyond some, one for the rest."""
    return of_each(
        [key for key in body if key not in known],
        lambda key: Fault(field=key, reason=f"is not known{nearest(key, known)}"),
    )


def words(body: Mapping[str, object], name: str, most: int, faults: list[Fault]) -> tuple[str, ...]:
    """The list of strings that a body has by a name, each once; into `faults` what is wrong."""
    found = body.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        faults.append(Fault(field=name, reason="must be a list of strings"))
        return ()
    if len(found) > most:
        reason = f"has {len(found)} items; at most {most} are allowed"
        faults.append(Fault(field=name, reason=reason))
    return tuple(dict.fromkeys(found))


async def trigger_arguments(request: Request[Any, Any, Any]) -> Mapping[str, object] | None:
    """`func_args` of a body that may be empty, or None; raises Malformed and Invalid."""
    if not await _content(request):
        return None
    body = await json_object(request)
    faults = unknown_keys(body, ("func_args",))
    arguments = body.get("func_args")
    if arguments is not None and not isinstance(arguments, dict):
        reason = f"must be a mapping, not {describe(arguments)}"
        faults.append(Fault(field="func_args", reason=reason))
    if faults:
        raise Invalid(faults)
    return arguments


async def _content(request: Request[Any, Any, Any]) -> bytes:
    try:
        return await request.body()
    except InternalServerException:
        raise Malformed("the connection ended before the body did") from None


def _decode(content: bytes) -> object:
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None
