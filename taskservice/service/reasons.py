"""Why somebody does something: what it may say, and where it must be said."""

from collections.abc import Collection

from taskservice.domain.errors import Fault, Invalid

LONGEST_REASON = 1000
"""Characters of why something was changed."""


class Reasons:
    """The actions that need a reason, as the settings name them."""

    def __init__(self, required: Collection[str] = ()) -> None:
        self._required = frozenset(required)

    def check(self, reason: str | None, *actions: str) -> str | None:
        """The reason of what is done, without blanks around it.

        `actions` are what it is called. Raises `Invalid` where it is too long, or lacks and is
        needed.
        """
        said = fitting(reason)
        if not said and (needed := [one for one in actions if one in self._required]):
            raise Invalid([Fault(field="reason", reason=f"is needed here to {needed[0]}: say why")])
        return said or None


def fitting(reason: str | None) -> str:
    """A reason without blanks around it. Raises `Invalid` where it is too long."""
    said = (reason or "").strip()
    if len(said) > LONGEST_REASON:
        fault = f"must have at most {LONGEST_REASON} characters, not {len(said)}"
        raise Invalid([Fault(field="reason", reason=fault)])
    return said
