"""An engine in a process of its own, for tests that kill it.

`serve URL [LEASE]` runs one until it is killed; with a lease it is one of a process elsewhere, of
which nobody knows whether it lives. `send URL FOLDER` runs one that has workers run what it claims,
`take URL FOLDER` such a worker. `chain URL POINT:NTH ...` runs one after another,
each of which kills itself as `kill -9` does when it comes to its point for the nth time.
"""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

from taskservice.engine.claims import Recorded
from taskservice.engine.executor import Call, CallResult
from taskservice.engine.local import LocalExecutor
from taskservice.engine.options import Options
from taskservice.storage.database import Database
from tests.engine.harness import Meddled, Work, Write, make_engine, taking
from tests.engine.remote import FolderExecutor, work

LIFE = 30
"""Seconds after which one that did not come to its point is ended by a signal of its own."""

POINTS = (
    "before-claim",
    "within-claim",
    "after-claim",
    "before-call",
    "during-call",
    "after-call",
    "before-end",
    "within-end",
    "after-end",
)


async def serve(database: Database, **more: Any) -> None:
    engine = make_engine(database, processes=False, **more)
    await engine.start()
    await engine.lead()
    await asyncio.Event().wait()


async def take(url: str, folder: Path) -> None:
    database = Database(url)
    here = LocalExecutor(idle=1)
    engine = make_engine(
        database, processes=False, default_executor="remote", listed=taking(), remote=here
    )
    await engine.start()
    await work(engine, folder)


async def serve_until(url: str, death: "Death") -> None:
    database = Meddled(url)
    death.watch(database)
    await serve(database, local=Dying(death))


class Death:
    """Has an engine kill its process when it comes to a point for the nth time."""

    def __init__(self, point: str, nth: int) -> None:
        assert point in POINTS
        self._point = point
        self._lock = threading.Lock()
        self._left = nth

    def at(self, point: str) -> None:
        """Say that a point is come to."""
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, database: Meddled) -> None:
        """Come to the points of claims and ends, as the database sees them."""
        engine = database.engine.sync_engine
        event.listen(
            engine, "before_cursor_execute", lambda *told: self._statement("before", *told)
        )
        event.listen(engine, "after_cursor_execute", lambda *told: self._statement("within", *told))
        database.meddle = self._write

    async def _write(self, write: Write, work: Work) -> Any:
        recorded = await write(work)
        if isinstance(recorded, Recorded):
            if recorded.added:
                self.at("after-claim")
            if any(end.error_kind != "interrupted" for end in recorded.ended):
                self.at("after-end")
        return recorded

    def _statement(
        self, when: str, _: Any, __: Any, statement: str, values: Any, *___: Any
    ) -> None:
        if statement.startswith("INSERT INTO task_execution_log"):
            self.at(f"{when}-claim")
        # What another one left is closed as interrupted: that is no end of this one's.
        elif statement.startswith("UPDATE task_execution_log") and "end_time" in statement:
            if "interrupted" not in str(values):
                self.at(f"{when}-end")


class Dying(LocalExecutor):
    """Comes to the points of calls."""

    def __init__(self, death: Death) -> None:
        super().__init__(idle=1)
        self._death = death

    def start(self, call: Call, done: Callable[[CallResult], None], began: Any = None) -> Any:
        def told(result: CallResult) -> None:
            self._death.at("after-call")
            done(result)

        self._death.at("before-call")
        handle = super().start(call, told, began)
        self._death.at("during-call")
        return handle


def die(url: str, point: str, nth: int) -> None:
    """Run an engine in a child of this process, and see it killed at its point."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIFE)
        try:
            asyncio.run(serve_until(url, Death(point, nth)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        sys.exit(f"{point} for the {nth}. time: the process ended with status {status}")


def main(mode: str, url: str, *arguments: str) -> None:
    if mode == "serve":
        options = [Options(name="elsewhere:1::", lease_seconds=float(one)) for one in arguments]
        asyncio.run(serve(Database(url), options=options[0] if options else None))
        return
    if mode == "send":
        sending = FolderExecutor(Path(arguments[0]))
        asyncio.run(serve(Database(url), default_executor="remote", remote=sending))
    if mode == "take":
        asyncio.run(take(url, Path(arguments[0])))
    for argument in arguments:
        point, _, nth = argument.partition(":")
        die(url, point, int(nth))


if __name__ == "__main__":
    main(*sys.argv[1:])
