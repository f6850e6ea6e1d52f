"""One sync: scan the folder, plan, apply; and the loop that syncs whenever there is a reason."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import structlog

from taskservice.domain.errors import Fault, Unavailable, is_pending
from taskservice.domain.plan import (
    SETTLE,
    DeclaredTask,
    FolderDeclarations,
    Plan,
    StoredDeclaration,
    make_plan,
    next_settlement,
)
from taskservice.domain.trail import Cause
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.gate import Gate
from taskservice.sync.carrying_out import carry_out, note_confirmed, note_revisions
from taskservice.sync.folder.declaring import Check
from taskservice.sync.folder.parsed_file import ChangedFiles
from taskservice.sync.folder.reading import Folder
from taskservice.sync.folder.rescan import Rescan
from taskservice.sync.folder.watch import Hint, watch
from taskservice.sync.gitrepo.authors import Authors
from taskservice.sync.gitrepo.head import Head, find_head, head_revision
from taskservice.sync.gitrepo.repository import Repository
from taskservice.sync.report import Report

RESCAN_SECONDS = 30.0
"""How often files are compared by content: events and times of change can be lost or wrong."""

PATIENCE_SECONDS = 2.0
_SOON = 0.025

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class SyncOptions:
    """What watches, reads and rescans a folder, and follows a repository; how often it rescans.

    A declaration that is gone counts as such after `settle`.
    """

    watch: Callable[[Path, asyncio.Event], AsyncIterator[Hint]] = watch
    folder: Callable[[Path, Check], Folder] = Folder
    rescan: Callable[..., Rescan] = Rescan
    repository: Callable[..., Repository] = Repository
    rescan_seconds: float = RESCAN_SECONDS
    settle: timedelta = SETTLE


_USUAL = SyncOptions()


class Syncer:
    """Keeps the tables in step with a folder.

    `check` says what is wrong with a task's fields, and may be slow; `check_at_once` is asked in
    a transaction, and may not be. Of what is `Pending` `functions_changed` tells when it is known.
    `zone` is that of times which name none.
    """

    def __init__(
        self,
        database: Database,
        gate: Gate,
        root: Path,
        *,
        check: Check,
        check_at_once: Check | None = None,
        zone: tzinfo,
        options: SyncOptions = _USUAL,
    ) -> None:
        self._database = database
        self._gate = gate
        self._root = root
        self._check_at_once = check_at_once or check
        self._zone = zone
        self._options = options
        self._folder = options.folder(root, check)
        self._turn = asyncio.Lock()
        self._poke = asyncio.Event()
        self._stop = asyncio.Event()
        self._rescan = options.rescan(
            database, root, self._folder, turn=self._turn, stop=self._stop
        )
        self._missing: Mapping[str, datetime] = {}
        self._confirmed: set[str] = set()
        self._wake_at: datetime | None = None
        self._unsettled = _SOON
        self._synced_revision: str | None = None
        self._head: Head | None = None
        self._authors = Authors()
        self._report = Report(database)
        self._refused = False
        # What was hinted at since the last sync, and whether that left work behind.
        self._hint: Hint = frozenset()
        self._unfinished = True

    @property
    def hint(self) -> Hint:
        """What may have changed and is not synced yet."""
        return self._hint

    async def start(self) -> None:
        """Go on from the last report, whoever made it, and sync for the first time."""
        await self._report.recall()
        self._missing, self._synced_revision = {}, None
        self._stop.clear()
        await self.sync(by_content=True)
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while is_pending(self._report.faults) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(2 * _SOON)
            await self.sync()

    async def run(self) -> None:
        """Sync whenever something may have changed, until `stop`; an outage is waited out."""
        watching = asyncio.gather(self._watch(), self._rescan_often())
        try:
            while not self._stop.is_set():
                await self._wait()
                if self._stop.is_set():
                    return
                self._poke.clear()
                try:
                    await self.sync_hinted()
                except Unavailable as outage:
                    log.warning("sync_waits", reason=str(outage))
                    self._wake_at = datetime.now(UTC) + timedelta(seconds=1)
                except Exception:
                    log.exception("sync_failed")
                    self._wake_at = datetime.now(UTC) + timedelta(seconds=5)
        finally:
            self._stop.set()
            await watching

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stop.set()
        self._poke.set()

    def overrides_changed(self) -> None:
        """Sync again soon if a declaration was refused for the overrides over it."""
        if self._refused:
            self._poke.set()

    def functions_changed(self) -> None:
        """Sync again soon: of some functions more is known now."""
        self._note(None)
        self._poke.set()

    async def sync_now(self, *, confirmed: Cause | None = None) -> None:
        """Sync by content, and again while something is still to come, for two seconds.

        A file may still be written, and the module of a function be imported.
        """
        settled = await self.sync(by_content=True, confirmed=confirmed)
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not settled and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(2 * _SOON)
            settled = await self.sync()

    async def sync(self, *, by_content: bool = False, confirmed: Cause | None = None) -> bool:
        """Scan, plan and apply; whether every file was read as it is now, and checked.

        Where somebody has `confirmed` it, what is missing now may be retired in any number.
        """
        async with self._turn:
            self._unfinished, self._hint = True, frozenset()
            async with self._database.read() as connection:
                stored = await store.declared(connection)
            head = self._head = await asyncio.to_thread(find_head, self._root, self._head)
            revision = head.commit if head else None
            scan = await asyncio.to_thread(
                self._folder.scan, stored, by_content=by_content, head=head
            )
            now = datetime.now(UTC)
            if confirmed:
                self._confirmed = set(stored)
                if held := self._report.held:
                    await note_confirmed(self._gate, held, confirmed)
            plan = make_plan(
                scan.declared,
                stored,
                missing=self._missing,
                now=now,
                confirmed=self._confirmed,
                held=self._report.held,
                settle=self._options.settle,
            )
            faults: tuple[Fault, ...] = ()
            if not plan.empty:
                faults = await self._carry_out(plan, scan.declared.tasks, stored, head)
                if not faults:
                    self._folder.note_stored(scan.declared.tasks)
            if revision != self._synced_revision and not scan.unsettled:
                # The same declarations at another commit: they may stand there as well.
                await note_revisions(self._gate, scan.declared.tasks)
                self._synced_revision = revision
            self._missing = plan.missing
            self._confirmed &= plan.missing.keys()
            self._report.held = plan.held
            self._wake_at = next_settlement(plan, now, settle=self._options.settle)
            self._look_again(now, scan.unsettled)
            self._report.faults = (*scan.declared.faults, *faults)
            self._refused = bool(faults)
            await self._report.save(revision, now)
            self._unfinished = bool(scan.unsettled or faults or plan.missing)
            return not scan.unsettled and not is_pending(self._report.faults)

    async def sync_hinted(self, hint: Hint = frozenset()) -> None:
        """Sync what was hinted at, by this too; all, where that does not do or there is nothing."""
        self._note(hint)
        if not await self._sync_files():
            await self.sync()

    async def _sync_files(self) -> bool:
        """Sync the files that hints named; False: it takes a whole sync."""
        async with self._turn:
            if self._unfinished or not self._hint:
                return False
            self._unfinished = True
            names, self._hint = sorted(self._hint), frozenset()
            head, changed = await asyncio.to_thread(self._look, names)
            revision = head.commit if head else None
            if changed is None or revision != self._synced_revision:
                return False
            now, tasks = datetime.now(UTC), changed.tasks
            if tasks:
                async with self._database.read() as connection:
                    stored = await store.declared(connection, list(tasks))
                if not await asyncio.to_thread(self._folder.accept, changed, stored):
                    return False
                plan = make_plan(FolderDeclarations(tasks=tasks), stored, missing={}, now=now)
                if not plan.empty and await self._carry_out(plan, tasks, stored, head):
                    return False
                self._folder.note_stored(tasks)
                await self._report.save(revision, now)
            self._wake_at = None
            self._note(changed.unsettled)
            self._look_again(now, bool(changed.unsettled), changed.again)
            self._unfinished = False
            return True

    def _look_again(self, now: datetime, unsettled: bool, seconds: float = 0.0) -> None:
        """Wake up soon for files that still change, less and less often if they go on so."""
        self._unsettled = min(2 * self._unsettled, 1.0) if unsettled else _SOON
        if unsettled:
            self._wake_at = now + timedelta(seconds=seconds or self._unsettled)

    def _look(self, names: Sequence[str]) -> tuple[Head | None, ChangedFiles | None]:
        head = find_head(self._root, self._head)
        return head, self._folder.read_changed(names, head=head)

    async def _carry_out(
        self,
        plan: Plan,
        candidates: Mapping[str, DeclaredTask],
        stored: Mapping[str, StoredDeclaration],
        head: Head | None,
    ) -> tuple[Fault, ...]:
        """Apply a plan; what was refused."""
        authors = await asyncio.to_thread(self._authors.of, plan, candidates, stored, head)
        return await carry_out(
            self._gate, plan, candidates,
            check=self._check_at_once, zone=self._zone, authors=authors,
        )  # fmt: skip

    async def _wait(self) -> None:
        seconds = None
        if self._wake_at:
            # The clock may be stepped: do not rely on it for long.
            seconds = (self._wake_at - datetime.now(UTC)).total_seconds()
            seconds = min(max(seconds, 0.01), self._options.rescan_seconds)
        try:
            await asyncio.wait_for(self._poke.wait(), seconds)
        except TimeoutError:
            pass

    async def _rescan_often(self) -> None:
        """Have synced, every 30 seconds, what is not as the last syncs left it."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._options.rescan_seconds
        while not await self._stops_within(due - loop.time()):
            due = loop.time() + self._options.rescan_seconds
            try:
                await self.rescan()
            except Unavailable as outage:
                log.warning("rescan_waits", reason=str(outage))
            except Exception:
                log.exception("rescan_failed")

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), max(seconds, 0.0))
        except TimeoutError:
            return False
        return True

    async def rescan(self) -> None:
        """Look at everything by content; note that all is in sync, or hint at what is not."""
        now = datetime.now(UTC)
        hint = await self._rescan.files()
        if hint:
            async with self._turn:
                self._folder.distrust(hint)
        elif hint is not None and not await self._is_settled():
            hint = None
        if self._stop.is_set():
            return
        if hint is None or hint:
            self._note(hint)
            self._poke.set()
            return
        async with self._turn:
            await self._report.save(self._synced_revision, now)

    async def _is_settled(self) -> bool:
        """Whether the last syncs left nothing to do, and both commit and table are as they were."""
        revision = await asyncio.to_thread(head_revision, self._root)
        async with self._turn:
            settled = not self._unfinished and revision == self._synced_revision
        return settled and await self._rescan.is_stored()

    async def _watch(self) -> None:
        async for hint in self._options.watch(self._root, self._stop):
            self._note(hint)
            self._poke.set()

    def _note(self, hint: Hint) -> None:
        self._hint = None if hint is None or self._hint is None else self._hint | hint
