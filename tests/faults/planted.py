"""`python -m tests.faults.planted BUG [BUG...] run`: the service with bugs in it, or a worker.

The only module here that knows the service's inside: it is to prove that the others find out.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from types import ModuleType
from typing import Any

from taskservice.cli import main as run_command
from taskservice.domain.plan import FolderDeclarations, Plan
from taskservice.engine import claims, engine, options
from taskservice.engine.celery import app
from taskservice.engine.claims import Batch
from taskservice.engine.ownership import Ownership
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.owners import QUEUE
from taskservice.sync import syncer
from taskservice.web import auth

SHORT_LEASE, LEASE_OF_EIGHT = 3.0, 8.0


def short_lease() -> None:
    """No bug: a process is taken for dead after three seconds, so that tests need not wait."""
    short = options.Options(lease_seconds=SHORT_LEASE, renew_seconds=0.5)
    _bend(engine.Engine, "__init__", lambda real: partialmethod(real, options=short))


def eight_second_lease() -> None:
    """No bug: eight seconds, in which a database that is away for a moment comes back."""
    short = options.Options(lease_seconds=LEASE_OF_EIGHT, renew_seconds=1.0)
    _bend(engine.Engine, "__init__", lambda real: partialmethod(real, options=short))


def ends_without_owner() -> None:
    """An end is written whoever's the execution is by now, and whatever its row says."""

    def bend(real: Any) -> Any:
        def decide_ends(batch: Batch, *args: Any) -> list[ExecutionRow]:
            real(batch, *args)
            return list(batch.ends.values())

        return decide_ends

    _bend(claims, "decide_ends", bend)


def grace_of_a_second() -> None:
    """APScheduler's own default, which loses fires."""

    def bend(real: Any) -> Any:
        return lambda *args, **more: real(*args, **{**more, "grace": 1.0})

    _bend(claims, "account", bend)


def deletes_on_a_parse_error() -> None:
    """A file that can't be understood looks like one that declares nothing."""

    def bend(real: Any) -> Any:
        def make_plan(declared: FolderDeclarations, *args: Any, **more: Any) -> Plan:
            blind = replace(declared, faulty=frozenset(), unreadable=frozenset())
            plan: Plan = real(blind, *args, **more)
            return plan

        return make_plan

    _bend(syncer, "make_plan", bend)


def cancels_at_sigterm() -> None:
    """Running executions get no time."""

    def bend(real: Any) -> Any:
        async def drain(self: engine.Engine, grace: float) -> None:
            await real(self, 0)

        return drain

    _bend(engine.Engine, "drain", bend)


def open_route() -> None:
    """`POST /sync` is for everybody."""

    def bend(real: Any) -> Any:
        def admit(connection: Any, needed: Any, **more: Any) -> Any:
            if connection.scope["path"].startswith("/sync"):
                return auth.Caller(name="anonymous", role="admin")
            return real(connection, needed, **more)

        return admit

    _bend(auth, "admit", bend)


def takes_what_runs() -> None:
    """A worker takes an execution whatever its row says: the compare of compare-and-set is gone."""
    _take_also(lambda row: True)


def takes_what_was_given_up() -> None:
    """The end as `unstarted:` leaves a row to the queue, and a worker takes all that is there."""
    _take_also(lambda row: row.owner == QUEUE)

    def bend(real: Any) -> Any:
        def ended(
            self: ExecutionRow, status: str, at: Any, kind: Any = None, story: str = "", **more: Any
        ) -> Any:
            kept = {"owner": QUEUE} if kind == "unstarted" else {}
            return real(self, status, at, kind, story, **more | kept)

        return ended

    _bend(ExecutionRow, "ended", bend)


def _take_also(wanted: Callable[[ExecutionRow], bool]) -> None:
    def bend(real: Any) -> Any:
        def decide_takes(
            batch: Batch, held: dict[str, ExecutionRow], *args: Any, **more: Any
        ) -> Any:
            for request in batch.takes:
                row = held.get(request.execution_id)
                if row and wanted(row):
                    held[row.id] = replace(row, status="queued")
            return real(batch, held, *args, **more)

        return decide_takes

    _bend(claims, "decide_takes", bend)


def renews_no_lease() -> None:
    """A process says no more that it lives once it runs something."""

    def bend(real: Any) -> Any:
        async def keep_alive(self: engine.Engine) -> None:
            if not self.running:
                await real(self)

        return keep_alive

    _bend(engine.Engine, "keep_alive", bend)


def looks_at_no_rows() -> None:
    """A cancel reaches a worker by a message at most: it does not look into its rows."""

    def bend(real: Any) -> Any:
        async def look_at_rows(self: Ownership) -> None:
            pass

        return look_at_rows

    _bend(Ownership, "look_at_rows", bend)


def acknowledges_early() -> None:
    """RabbitMQ is told that an execution is done before it runs."""

    def bend(real: Any) -> Any:
        def make_app(*args: Any, **more: Any) -> Any:
            made = real(*args, **more)
            made.conf.task_acks_late = False
            return made

        return make_app

    _bend(app, "make_app", bend)


def _bend(place: ModuleType | type, name: str, bend: Callable[[Any], Any]) -> None:
    """Put something else in the place of what is there; what is not there can't be bent."""
    setattr(place, name, bend(getattr(place, name)))


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        short_lease,
        eight_second_lease,
        ends_without_owner,
        grace_of_a_second,
        deletes_on_a_parse_error,
        cancels_at_sigterm,
        open_route,
        takes_what_runs,
        takes_what_was_given_up,
        renews_no_lease,
        looks_at_no_rows,
        acknowledges_early,
    )
}


def planted(*bugs: Callable[[], None], command: str = "run") -> tuple[str, ...]:
    """The command that runs the service, or a worker, with these bugs."""
    return (sys.executable, "-m", "tests.faults.planted", *(bug.__name__ for bug in bugs), command)


def main() -> None:
    """Plant, and run the service's own command."""
    given = sys.argv[1:]
    while given[0] in BUGS:
        BUGS[given.pop(0)]()
    sys.argv[1:] = given
    run_command()


if __name__ == "__main__":
    main()
