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

from taskservice.engine.engine import Engine
from taskservice.engine.local import LocalExecutor
from taskservice.engine.options import Options
from taskservice.storage import executions as log
from taskservice.storage.database import Database
from tests.engine.harness import make_engine
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


async def serve(url: str, arm: Callable[[Engine], None] = lambda _: None, **more: Any) -> None:
    engine = make_engine(Database(url), processes=False, **more)
    arm(engine)
    await engine.start()
    await engine.lead()
    await asyncio.Event().wait()


async def take(url: str, folder: Path) -> None:
    database = Database(url)
    here = LocalExecutor(idle=1)
    engine = make_engine(database, processes=False, default_executor="remote", remote=here)
    await engine.start()
    await work(engine, database, folder)


def armed(point: str, nth: int) -> Callable[[Engine], None]:
    """Make an engine kill its process at a point, with wrappers around what it calls there."""
    lock = threading.Lock()
    left = nth

    def strike() -> None:
        nonlocal left
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def wrap(place: Any, name: str, *, before: Any = None, after: Any = None) -> None:
        real = getattr(place, name)

        async def wrapped_later(*args: Any, **more: Any) -> Any:
            if before and before(*args, **more):
                strike()
            result = await real(*args, **more)
            if after and after(result, *args):
                strike()
            return result

        def wrapped(*args: Any, **more: Any) -> Any:
            if before and before(*args, **more):
                strike()
            result = real(*args, **more)
            if after and after(result, *args):
                strike()
            return result

        later = asyncio.iscoroutinefunction(real)
        setattr(place, name, wrapped_later if later else wrapped)

    def always(*_: object) -> bool:
        return True

    def arm(engine: Engine) -> None:
        recorder, runner = engine._recorder, engine._runner
        match point:
            case "before-claim":
                wrap(recorder, "record", before=lambda batch, owner=None: batch.due)
            case "within-claim":
                wrap(log, "add", after=lambda _, connection, rows: rows)
            case "after-claim":
                wrap(recorder, "record", after=lambda recorded, *_: recorded.added)
            case "before-call":
                wrap(runner, "_call", before=always)
            case "during-call":
                wrap(runner, "_call", after=always)
            case "after-call":
                wrap(runner, "_done", before=always)
            case "before-end":
                wrap(recorder, "record", before=lambda batch, owner=None: batch.ends and not owner)
            case "within-end":
                wrap(log, "finish", after=lambda _, connection, ended: ended)
            case "after-end":
                wrap(recorder, "record", after=lambda _, batch, owner=None: batch.ends)
            case _:
                raise ValueError(point)

    return arm


def die(url: str, point: str, nth: int) -> None:
    """Run an engine in a child of this process, and see it killed at its point."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIFE)
        try:
            asyncio.run(serve(url, armed(point, nth)))
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
        asyncio.run(serve(url, options=options[0] if options else None))
        return
    if mode == "send":
        sending = FolderExecutor(Path(arguments[0]))
        asyncio.run(serve(url, default_executor="remote", remote=sending))
    if mode == "take":
        asyncio.run(take(url, Path(arguments[0])))
    for argument in arguments:
        point, _, nth = argument.partition(":")
        die(url, point, int(nth))


if __name__ == "__main__":
    main(*sys.argv[1:])
