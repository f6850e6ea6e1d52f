"""The service: what it is made of, how it starts, what it does by itself, how it stops."""

import asyncio
import contextlib
import importlib.util
from collections.abc import Sequence

from taskservice.domain.errors import StartError, Unavailable
from taskservice.domain.placement import CELERY, Placement
from taskservice.domain.trail import Cause
from taskservice.engine.engine import Engine
from taskservice.engine.executor import AnyExecutor, RemoteExecutor
from taskservice.engine.functions import Functions
from taskservice.engine.local import LocalExecutor
from taskservice.engine.process import ProcessExecutor
from taskservice.engine.repeat import repeat
from taskservice.service.changes import Changes
from taskservice.service.checks import Checks
from taskservice.service.checkup import Checkup
from taskservice.service.credentials import Credentials
from taskservice.service.declarations import Declarations
from taskservice.service.executions import Executions
from taskservice.service.housekeeping import Housekeeping
from taskservice.service.leader_election import NOTICE_SECONDS, LeaderElection
from taskservice.service.metrics import Metrics
from taskservice.service.notices import Notices
from taskservice.service.notify.notifications import Notifications
from taskservice.service.notify.rules import rules_in_service
from taskservice.service.offload import Offload
from taskservice.service.people import People
from taskservice.service.reasons import Reasons
from taskservice.service.sessions import EndedSessions
from taskservice.service.syncs import Syncs
from taskservice.service.task_functions import TaskFunctions
from taskservice.service.tasks import Tasks
from taskservice.service.timeline import Timelines
from taskservice.service.trail import Trail
from taskservice.service.watching import Watcher
from taskservice.service.workers import Workers
from taskservice.settings import Settings, broker
from taskservice.storage import owners
from taskservice.storage.database import Database
from taskservice.storage.gate import Gate
from taskservice.storage.schema import prepare
from taskservice.sync.syncer import SyncOptions

NEEDS_SERVER = (
    "TASKSERVICE_CELERY_BROKER needs a database that workers can reach: MySQL or MariaDB, by "
    "TASKSERVICE_DATABASE_URL; SQLite is for one process"
)

NEEDS_TOKENS = (
    "TASKSERVICE_HOST is {!r}: without TASKSERVICE_API_TOKENS the service listens on loopback "
    "only (127.0.0.1, ::1 or localhost)"
)

LOOK_SECONDS = 2.0
"""How often the files of functions are compared with what was loaded of them."""

CREDENTIALS_SECONDS = 1.0
"""How often the tokens are read again, and streams ended whose token is no longer good."""

CHECKUP_SECONDS = 1.0
"""How often tasks that are found to be at fault are noted, for every process to tell."""


class Service:
    """Everything behind the API and the console, of one process: its parts, and its life."""

    def __init__(self, settings: Settings, *, syncing: SyncOptions | None = None) -> None:
        self.settings = settings
        self.draining = False
        zone, default_executor = settings.timezone, settings.executor
        placement = placement_of(settings)
        rules_of = rules_in_service(settings)
        self._loaded = Functions(settings.functions)
        self._processes = ProcessExecutor(settings.functions, limit=settings.processes)
        executors: dict[str, AnyExecutor] = {
            "local": LocalExecutor(limit=settings.threads),
            "process": self._processes,
        }
        self._broker = sender_of(settings) if settings.celery_broker else None
        if self._broker:
            executors[CELERY] = self._broker
        self.database = Database(settings.database_url)
        self.engine = Engine(
            self.database,
            self._loaded,
            executors,
            default_executor=default_executor,
            zone=zone,
            env_allow=settings.env_allow,
            output_limit=settings.output_limit,
            queue_of=placement.queue_of,
            rules_of=rules_of,
            start_timeout=settings.start_timeout,
        )
        looking = Offload(
            "looking", threads=2, waiting=200, busy="too many ask for what takes long; try again"
        )
        deciding = Offload("deciding", threads=1, waiting=0, busy="others change tasks")
        self.gate = gate = Gate(self.database, self.engine, changed=self._on_change)
        checks = Checks(
            self._loaded, zone=zone, env_allow=settings.env_allow, placement=placement,
            channels=settings.channels,
        )  # fmt: skip
        self._checkup = Checkup(self.database, self.engine, gate, zone)
        self.tasks = Tasks(self.database, checks, self._checkup, looking, zone=zone)
        reasons = Reasons(settings.require_reason)
        self.changes = Changes(
            self.database,
            gate,
            checks,
            deciding,
            zone=zone,
            default_executor=default_executor,
            reasons=reasons,
        )
        self.syncs = Syncs(
            self.database, self.engine, gate, checks, self._checkup, settings,
            syncing or SyncOptions(),
        )  # fmt: skip
        self.watcher = Watcher(self.database, self.syncs.report)
        self.executions = Executions(
            self.database,
            self.engine,
            checks,
            zone=zone,
            changed=self.watcher.poke,
            reasons=reasons,
        )
        self.declarations = Declarations(
            self.database, self.syncs.root, checks, looking,
            zone=zone, default_executor=default_executor,
        )  # fmt: skip
        self.functions = TaskFunctions(self._loaded, self.engine)
        self.timelines = Timelines(self.database, self.engine, zone, looking)
        self.workers = Workers(self.database, placement)
        self.notifications = Notifications(
            self.database, self.engine, self.workers, rules_of, settings
        )
        self.metrics = Metrics(self.database, self.engine, self.workers, self.notifications)
        self.credentials = Credentials(settings, self.database)
        self.trail = Trail(self.database, zone=zone)
        self.people = People(settings, self.database, self.credentials)
        self.ended_sessions = EndedSessions(self.database)
        self._housekeeping = Housekeeping(self.database, self.engine, gate, self.changes, settings)
        self._notices = Notices(
            self.database, self.engine, changed=self._follow_others, sync=self.syncs.sync_here
        )
        self._election = LeaderElection(
            self.database,
            self.engine.owner,
            lead=self._lead,
            follow=self._follow,
            handle=self._notices.handle,
        )
        self._offloads = (looking, deciding)
        self._loops: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    def lifelines(self) -> list[int]:
        """The descriptors that keep child processes alive: no copy of this one is to hold them."""
        return [*self._processes.descriptors(), *self._loaded.descriptors()]

    async def start(self) -> None:
        """Open the database and, unless another process does, sync the folder and fire.

        Raises `StartError`.
        """
        if self._broker and self.database.one_process:
            raise StartError(NEEDS_SERVER)
        await self.syncs.prepare()
        loop = asyncio.get_running_loop()

        def on_answer() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody syncs any more
                loop.call_soon_threadsafe(self.syncs.syncer.functions_changed)

        self._loaded.on_answer(on_answer)
        try:
            self.database.claim()
            await prepare(self.database)
            await self.credentials.refresh()
            await self.people.start()
            if self.credentials.are_needed and not self.credentials.exist:
                raise StartError(NEEDS_TOKENS.format(self.settings.host))
            await self.engine.start()
            await self._election.start()
        except Unavailable as outage:
            await self.stop()
            raise StartError(str(outage)) from outage
        except BaseException:
            await self.stop()
            raise
        notices = self._election.look_at_notices
        self._loops = [
            asyncio.create_task(self._election.run()),
            asyncio.create_task(repeat(self._stop, NOTICE_SECONDS, notices)),
            asyncio.create_task(repeat(self._stop, LOOK_SECONDS, self._look_at_functions)),
            asyncio.create_task(self._housekeeping.run(self._stop)),
            asyncio.create_task(repeat(self._stop, CHECKUP_SECONDS, self._checkup.look)),
            asyncio.create_task(repeat(self._stop, CREDENTIALS_SECONDS, self._look_at_credentials)),
            asyncio.create_task(self.notifications.run(self._stop)),
        ]

    async def _lead(self) -> None:
        await self.engine.lead()
        await self.changes.expire()
        await self.syncs.start()

    async def _follow(self) -> None:
        self.engine.follow()
        await self.syncs.stop()

    def _on_change(self, cause: Cause) -> None:
        """Have others look at a change of tasks that is committed."""
        self.watcher.poke()
        if cause.via != "file":
            self.syncs.syncer.overrides_changed()

    async def _follow_others(self, task_ids: Sequence[str]) -> None:
        """Schedule what other processes changed."""
        await self.engine.reconcile(task_ids)
        self.syncs.syncer.overrides_changed()

    async def _look_at_functions(self) -> None:
        """Check again what was refused for the code of a function that has changed since."""
        if await asyncio.to_thread(self._loaded.look):
            self.syncs.syncer.functions_changed()

    async def _look_at_credentials(self) -> None:
        """Know of tokens that were made and revoked, and of sessions that were ended."""
        await self.credentials.refresh(seconds=CREDENTIALS_SECONDS / 2)
        await self.ended_sessions.refresh()
        self.watcher.refuse_unheld()
        await self.credentials.save_uses()

    async def drain(self) -> None:
        """Take no new fire, and give running executions the time that the settings allow."""
        if not self.draining:
            self.draining = True
            # Another process may schedule from now on.
            self._election.stop()
            await self.engine.drain(self.settings.shutdown_grace)

    async def stop(self) -> None:
        """Drain, and close everything."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._loops:
            await self.drain()
            await asyncio.wait(self._loops)
        else:
            await self._election.give_up()
        await self._notices.stop()
        await self.engine.stop()
        await self.watcher.stop()
        self._loaded.close()
        self.declarations.close()
        for offload in self._offloads:
            offload.close()
        await self.database.close()

    async def ready(self) -> dict[str, str]:
        """What readiness stands on; raises `Unavailable` where something lacks."""
        if self.draining or not self.engine.firing:
            raise Unavailable("the service is stopping" if self.draining else "it is starting")
        async with self.database.read() as connection:
            await owners.owners(connection)
        found = {"database": "ok", "scheduler": "ok" if self.engine.leads else "standby"}
        if self._broker:
            # Nothing that runs here needs it: away, it is told of, and no reason not to be ready.
            found["broker"] = f"away: {self._broker.away}" if self._broker.away else "ok"
        return found


def placement_of(settings: Settings) -> Placement:
    """Where tasks run, as the settings say."""
    return Placement(
        executor=settings.executor,
        queue=settings.celery_queue,
        has_broker=bool(settings.celery_broker),
        longest=broker.longest_on(settings.celery_broker),
    )


def sender_of(settings: Settings) -> RemoteExecutor:
    """What sends executions to workers by the broker that there is. Raises `StartError`."""
    if importlib.util.find_spec("celery") is None:
        raise StartError(
            "TASKSERVICE_CELERY_BROKER needs Celery: pip install 'taskservice[celery]'"
        )
    from taskservice.engine.celery.sender import CeleryExecutor

    return CeleryExecutor(
        broker.without_parameter(settings.celery_broker),
        is_amqp=broker.is_amqp(settings.celery_broker),
        queue=settings.celery_queue,
    )
