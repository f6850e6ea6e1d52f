"""The pool of a worker: Celery's threads, and the word that a place is free."""

import contextlib
import os
from typing import Any

from celery.concurrency.thread import TaskPool


class WakingPool(TaskPool):  # type: ignore[misc]
    """Wakes Celery's event loop when a place gets free.

    With Redis the loop fetches a message only while a place is free, and looks whether one is when
    something happens to it, or once a second.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakes, False)

    def register_with_event_loop(self, loop: Any) -> None:
        """Be heard by the loop; said again after each connection to the broker."""
        loop.add_reader(self._woken, self._take)

    def on_apply(self, *args: Any, **options: Any) -> Any:
        """Begin the work of a message."""
        result = super().on_apply(*args, **options)
        # By then the message is none any more that the worker has taken: by its signals it is.
        result.f.add_done_callback(self._wake)
        return result

    def _wake(self, _: object) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full of words that nobody has heard yet
            os.write(self._wakes, b"\0")

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
