"""A repository that is followed: pulled now and then and when asked, the folder synced after."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.domain.trail import Cause
from taskservice.storage.database import Connection, Database
from taskservice.storage.key_values import get_value, set_value
from taskservice.sync.gitrepo.checkout import Checkout, Pulled

FOLDER = ".repository"
"""Where everything lies, below the tasks folder: as a hidden name it declares nothing."""

FIRST_SECONDS = 5.0
"""How long a start waits for the first pull where nothing is live yet."""

_REMEMBERED = "repository"
_OVER = "this process no longer pulls"

log = structlog.get_logger()

Sync = Callable[[Cause | None], Coroutine[Any, Any, None]]
"""Syncs by content; told who lets a held sync go on, if anybody does."""


class Repository:
    """Follows a branch: `sync` is called with each commit that becomes live, and when asked.

    `shown` is the URL as it may be told; `interval` the seconds between two pulls; `signers` is a
    file as `Checkout` takes it. A start waits `first_seconds` for the first one where nothing is
    live.
    """

    def __init__(
        self,
        database: Database,
        tasks_dir: Path,
        *,
        url: str,
        shown: str,
        branch: str,
        path: str,
        interval: float,
        sync: Sync,
        signers: Path | None = None,
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._database = database
        self._tasks_dir = tasks_dir
        self._checkout = Checkout(
            tasks_dir / FOLDER, url=url, branch=branch, path=path, signers=signers
        )
        self._names = {"url": shown, "branch": branch, "path": path}
        self._interval = interval
        self._sync = sync
        self._first_seconds = first_seconds
        self._state: dict[str, Any] = {}
        # The commit that is checked out here, and the one that was synced last.
        self._here: str | None = None
        self._synced: str | None = None
        self._first: asyncio.Task[Pulled] | None = None
        self._asked: list[tuple[Cause | None, asyncio.Future[None]]] = []
        self._poke = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def root(self) -> Path:
        """The folder of task files; it may lead elsewhere at any time, to another commit."""
        return self._checkout.root

    def prepare(self) -> None:
        """Make the tasks folder, in which the repository is kept. Blocks; raises OSError."""
        self._tasks_dir.mkdir(parents=True, exist_ok=True)

    async def start(self) -> None:
        """Take up what is known, by whoever pulled last, and tell what is live here.

        Where that is nothing the first pull begins, and is waited for, but not for long.
        """
        async with self._database.read() as connection:
            known = await last_pull(connection) or {}
        nothing = {"wanted": None, "live": None, "problem": None, "fetched_at": None}
        same = all(known.get(name) == value for name, value in self._names.items())
        self._state = {**nothing, **(known if same else {}), **self._names}
        self._stop.clear()
        self._checkout.begin()
        self._here = await asyncio.to_thread(self._checkout.live)
        if self._here is None:
            self._first = asyncio.create_task(self._pulled(confirmed=False))
            done, _ = await asyncio.wait([self._first], timeout=self._first_seconds)
            for first in done:
                self._note(first.result())
        else:
            self._state["live"] = self._here
        self._synced = self._here
        await self._remember()

    async def run(self) -> None:
        """Pull whenever it is time or somebody asks, and sync what is new, until `stop`."""
        if self._first:
            await self._first  # if it took its time: there can be one at once
            self._first = None
        while not self._stop.is_set():
            self._poke.clear()
            asked, self._asked = self._asked, []
            confirmed = next((cause for cause, _ in asked if cause), None)
            try:
                await self._pull(confirmed=confirmed is not None)
                if asked or self._here != self._synced:
                    await self._sync(confirmed)
                    self._synced = self._here
            except Unavailable as outage:
                if not self._stop.is_set():
                    log.warning("pull_waits", reason=str(outage))
                _answer(asked, outage)
            except Exception as error:
                log.exception("pull_failed")
                _answer(asked, error)
            else:
                _answer(asked, None)
            await self._wait()
        _answer(self._asked, Unavailable(_OVER))
        self._asked = []

    def stop(self) -> None:
        """Let `run` come to its end soon, whatever git is at."""
        self._stop.set()
        self._poke.set()
        self._checkout.end()

    async def pull_now(self, *, confirmed: Cause | None = None) -> None:
        """Pull and sync at once, and wait until that is done; many that ask are one.

        Where somebody has `confirmed` it, a rewritten branch is taken, and a held sync goes on.
        Raises what the sync raises, and `Unavailable` when the service stops.
        """
        if self._stop.is_set():
            raise Unavailable(_OVER)
        done = asyncio.get_running_loop().create_future()
        self._asked.append((confirmed, done))
        self._poke.set()
        await done

    async def _pull(self, *, confirmed: bool) -> None:
        pulled = await self._pulled(confirmed=confirmed)
        if self._stop.is_set():
            raise Unavailable(_OVER)  # it may have been broken off
        self._note(pulled)
        await self._remember()

    async def _pulled(self, *, confirmed: bool) -> Pulled:
        last = self._state["live"]
        return await asyncio.to_thread(self._checkout.pull, confirmed=confirmed, last=last)

    def _note(self, pulled: Pulled) -> None:
        if pulled.problem and pulled.problem != self._state["problem"]:
            log.warning("pull_refused", reason=pulled.problem)
        self._here = pulled.live
        # Where nothing is checked out, the tasks are still those of the last one.
        live = pulled.live or self._state["live"]
        self._state |= {"live": live, "problem": pulled.problem}
        if pulled.wanted:
            self._state |= {"wanted": pulled.wanted, "fetched_at": datetime.now(UTC).isoformat()}

    async def _remember(self) -> None:
        state = dict(self._state)
        await self._database.write(lambda connection: set_value(connection, _REMEMBERED, state))

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._poke.wait(), self._interval)
        except TimeoutError:
            pass


async def last_pull(connection: Connection) -> dict[str, Any] | None:
    """`{url, branch, path, wanted, live, problem, fetched_at}`; None: no repository is followed."""
    return await get_value(connection, _REMEMBERED) or None


async def forget_pull(database: Database) -> None:
    """Note that no repository is followed any more."""
    async with database.read() as connection:
        known = await last_pull(connection)
    if known:
        await database.write(lambda connection: set_value(connection, _REMEMBERED, {}))


def _answer(
    asked: list[tuple[Cause | None, asyncio.Future[None]]], error: Exception | None
) -> None:
    for _, done in asked:
        if done.done():
            continue
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)
