"""Which tasks somebody sees."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sight:
    """All tasks, or, where there are `tags`, those that bear one of them."""

    tags: tuple[str, ...] | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether some tasks may be out of it."""
        return self.tags is not None

    def sees(self, tags: Collection[str]) -> bool:
        """Whether a task that bears these tags is in it."""
        return self.tags is None or not set(self.tags).isdisjoint(tags)


ALL = Sight()
"""That of whoever is not narrowed to tags."""
