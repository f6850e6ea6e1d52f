"""`${NAME}` and `${NAME:-default}` in arguments: where they stand, and which may be filled in.

Section 4 of the contract has their form, section 2 what may be filled in. What is done here takes
time in proportion to what it is given, whatever that is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from taskservice.domain.check import is_plain
from taskservice.domain.errors import Fault
from taskservice.domain.fault_limits import of_each

OWN_PREFIX = "TASKSERVICE_"
"""What the names of the service's own variables begin with: they are never filled in."""

DOLLAR = "${DOLLAR:-$}"
"""How a dollar sign is written that begins no placeholder: it stands for no variable."""

ANY_VARIABLE = ("*",)
"""The patterns that allow every variable but the service's own."""

# The name gives nothing back once it is read, so that no text is read twice.
_BEGIN = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*+)(:-|\})")
_NAME_SHOWN = 100
_NAMES_SHOWN = 10


class Placeholder(NamedTuple):
    """One placeholder; `default` is None where it has none."""

    name: str
    default: str | None


def pieces(text: str) -> Iterator[str | Placeholder]:
    """Yield a text's placeholders and what stands between them, in order.

    A default ends at the first `}`, whatever stands before it.
    """
    at = 0
    while begin := _BEGIN.search(text, at):
        default, end = None, begin.end()
        if begin[2] == ":-":
            close = text.find("}", end)
            if close < 0:
                break  # nor does any later one end
            default, end = text[begin.end() : close], close + 1
        yield text[at : begin.start()]
        is_dollar = (begin[1], default) == ("DOLLAR", "$")
        yield "$" if is_dollar else Placeholder(begin[1], default)
        at = end
    yield text[at:]


def variables_of(func_args: Mapping[str, object]) -> dict[str, str]:
    """The variables that placeholders in arguments stand for, each with its first argument."""
    found: dict[str, str] = {}
    for key, argument in func_args.items():
        for name in variables_in(argument):
            found.setdefault(name, key)
    return found


def variables_in(*values: object) -> Iterator[str]:
    """Yield the variables that placeholders anywhere in JSON values stand for."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "${" in value:
                yield from (one.name for one in pieces(value) if isinstance(one, Placeholder))
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            waiting += value.values()


def placeholder_faults(
    func_args: Mapping[str, object], allowed: Sequence[str] = ANY_VARIABLE
) -> list[Fault]:
    """What is wrong with the placeholders in arguments: variables that are never filled in.

    `allowed` are the patterns of those that may be; the service's own may not, whatever they say.
    Beyond 20 faults they are counted.
    """
    wrong = []
    for name, key in variables_of(func_args).items():
        if name.startswith(OWN_PREFIX):
            why = "is the service's own, and never filled in"
        elif any(fnmatchcase(name, pattern) for pattern in allowed):
            continue
        else:
            why = f"may not be filled in; TASKSERVICE_ENV_ALLOW allows {_told(allowed)}"
        wrong.append((key, f"the variable {name[:_NAME_SHOWN]} {why}"))
    return of_each(wrong, _fault)


def borrowed_faults(given: Mapping[str, object], own: Mapping[str, object]) -> list[Fault]:
    """What is wrong with the arguments of one run, beside a task's `own`: variables new to it.

    Who may run a task must not have it read more of the environment than it does by itself.
    Beyond 20 faults they are counted.
    """
    asked = variables_of(given)
    known = variables_of(own) if asked else {}
    have = _told(sorted(known))

    def fault(one: tuple[str, str]) -> Fault:
        name, key = one
        reason = (
            "a run by hand may use only the variables that the task's own arguments have: "
            f"{have}, not {name[:_NAME_SHOWN]}"
        )
        return _fault((key, reason))

    return of_each([one for one in asked.items() if one[0] not in known], fault)


def _fault(wrong: tuple[str, str]) -> Fault:
    key, reason = wrong
    return Fault(field=f"func_args.{key}" if is_plain(key) else "func_args", reason=reason)


def _told(names: Sequence[str]) -> str:
    shown = [name[:_NAME_SHOWN] for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more" if more else "")
