"""What must be so of a task for a request to be done (RFC 9110, section 13)."""

from collections.abc import Collection
from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """Tags of which a task must have one, and tags of which it may have none.

    `ANY` among them is any tag, which is what each task that there is has; None asks for nothing.
    A tag is that of the definition with its overrides, which tasks are compared by.
    """

    match: Collection[str] | None = None
    none_match: Collection[str] | None = None

    def holds(self, etag: str) -> bool:
        """Whether a task with this tag is as it must be."""
        return self.matches(etag) and not self.is_known(etag)

    def matches(self, etag: str) -> bool:
        """Whether it has a tag that it must have."""
        return self.match is None or ANY in self.match or etag in self.match

    def is_known(self, etag: str) -> bool:
        """Whether it has a tag that it may not have: that of what somebody knows already."""
        return self.none_match is not None and (ANY in self.none_match or etag in self.none_match)
