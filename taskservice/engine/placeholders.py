"""What functions are called with: `${NAME}` filled in.

`domain.placeholders` has the form of a placeholder, and which may be filled in.
"""

from collections.abc import Iterable, Mapping, Sequence

from taskservice.domain.check import MAX_DEPTH
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_each
from taskservice.domain.placeholders import (
    ANY_VARIABLE,
    Placeholder,
    borrowed_faults,
    pieces,
    placeholder_faults,
    variables_in,
)
from taskservice.engine.masking import SHORTEST, Mask

FILLED_LIMIT = 4 * 1024 * 1024
"""How many characters all the arguments with placeholders may have together, filled in."""

LIGHT_TEXT = 4096
LIGHT_VALUES = 100


def is_light(func_args: Mapping[str, object]) -> bool:
    """Whether nothing is to be filled in, as can be seen at once: the arguments are small too."""
    text, values = 0, 0
    waiting: list[object] = [func_args]
    while waiting:
        value = waiting.pop()
        values += 1
        if isinstance(value, str):
            text += len(value)
            if text > LIGHT_TEXT or "${" in value:
                return False
        elif isinstance(value, list | Mapping):
            values += len(value)
            if values <= LIGHT_VALUES:
                waiting += value.values() if isinstance(value, Mapping) else value
        if values > LIGHT_VALUES:
            return False
    return True


def mask_of(arguments: Iterable[object], environ: Mapping[str, str]) -> Mask:
    """What hides the values that placeholders in arguments stand for, as the environment is now."""
    return Mask(environ.get(name, "") for name in variables_in(*arguments))


def fill(
    func_args: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    given: Mapping[str, object] | None = None,
    allowed: Sequence[str] = ANY_VARIABLE,
    limit: int = FILLED_LIMIT,
) -> tuple[dict[str, object], frozenset[str]]:
    """Replace `${NAME}` and `${NAME:-default}` in every string, in lists and mappings too.

    `given` are arguments of this run alone, which go before the task's own and may use only the
    variables that those do; `allowed` are the patterns of the variables that may be filled in.
    As in a shell, a default stands for an empty variable too. Returns the arguments
    and the values that came from the environment and have at least 4 characters:
    they are to be masked. Raises Invalid, naming variables that are not set or not allowed, or
    when they come to more than `limit` characters. Takes its time with long arguments: not on
    the event loop, unless they are light.
    """
    given = given or {}
    filled = {**func_args, **given}
    faults = borrowed_faults(given, func_args) + placeholder_faults(filled, allowed)
    if faults:
        raise Invalid(faults)
    filling = _Filling(environ, limit)
    for key, value in filled.items():
        filled[key] = filling.fill(value, f"func_args.{key}", MAX_DEPTH)
    if filling.missing:
        raise Invalid(of_each(list(filling.missing.items()), _missing))
    return filled, frozenset(filling.secrets)


def _missing(variable: tuple[str, str]) -> Fault:
    name, field = variable
    return Fault(field=field, reason=f"the environment has no variable {name[:100]}")


class _Filling:
    """The arguments of one call while they are filled in."""

    def __init__(self, environ: Mapping[str, str], limit: int) -> None:
        self._environ = environ
        self._room = limit
        self.secrets: set[str] = set()
        self.missing: dict[str, str] = {}

    def fill(self, value: object, field: str, depth: int) -> object:
        if isinstance(value, str):
            return self._text(value, field) if "${" in value else value
        if isinstance(value, list | Mapping) and not depth:
            raise Invalid([Fault(field=field, reason=f"is nested deeper than {MAX_DEPTH}")])
        if isinstance(value, list):
            return [self.fill(each, field, depth - 1) for each in value]
        if isinstance(value, Mapping):
            return {key: self.fill(each, field, depth - 1) for key, each in value.items()}
        return value

    def _text(self, text: str, field: str) -> str:
        parts = []
        for piece in pieces(text):
            part = self._value(piece, field) if isinstance(piece, Placeholder) else piece
            self._room -= len(part)
            if self._room < 0:
                reason = "the arguments are too long with their placeholders filled in"
                raise Invalid([Fault(field=field, reason=reason)])
            parts.append(part)
        return "".join(parts)

    def _value(self, placeholder: Placeholder, field: str) -> str:
        value = self._environ.get(placeholder.name)
        if placeholder.default is not None and not value:
            return placeholder.default
        if value is None:
            self.missing[placeholder.name] = field
            return ""
        if len(value) >= SHORTEST:
            self.secrets.add(value)
        return value
