"""How much of a long work is done at a time, so that nobody waits for long."""

import time


class Pace:
    """Sizes the pieces of a long work by how long the last one took.

    A piece is to take `seconds`; it has from `least` to `most` rows, at first `rows`.
    """

    def __init__(
        self, *, rows: int = 100, least: int = 10, most: int = 1000, seconds: float = 0.05
    ) -> None:
        self.rows = rows
        self._least = least
        self._most = most
        self._seconds = seconds
        self._begin = 0.0

    def begin(self) -> int:
        """Begin a piece; how many rows it may have."""
        self._begin = time.monotonic()
        return self.rows

    def end(self) -> float:
        """End it; for how many seconds others are to have their turn."""
        took = time.monotonic() - self._begin
        if took > 2 * self._seconds:
            self.rows = max(self.rows // 2, self._least)
        elif took < self._seconds / 2:
            self.rows = min(self.rows * 2, self._most)
        return max(took, self._seconds / 5)
