"""What the last sync came to, kept in the database for every process to tell."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog

from taskservice.domain import overlay
from taskservice.domain.errors import Fault, Pending, Unavailable
from taskservice.domain.fault_limits import of_all
from taskservice.domain.plan import Held
from taskservice.storage.database import Connection, Database
from taskservice.storage.key_values import get_value, set_value
from taskservice.storage.rows import to_json

_REMEMBERED = "sync report"
_NOTHING: dict[str, Any] = {
    "synced_at": None, "revision": None, "errors": [], "files_at_fault": 0, "held": None
}  # fmt: skip

LOGGED = 20
"""How many faults that are new a sync logs, each with a line; one more line counts the rest."""

SMALL_BYTES = 16 * 1024
"""A report of this size, as JSON, fits any packet."""

HELD_TOLD = 100
"""How many tasks of a held sync a report still names that is too large to be stored."""

log = structlog.get_logger()


class Report:
    """The faults and the held retirement that syncs find, and since when each fault is there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since: dict[str, datetime] = {}
        self.held: Held | None = None
        self.faults: tuple[Fault, ...] = ()

    async def recall(self) -> None:
        """Go on from the last report, whoever made it; its faults are found again."""
        async with self._database.read() as connection:
            report = await last_report(connection)
        self._since = {
            _key(error): datetime.fromisoformat(error["since"]) for error in report["errors"]
        }
        self.held = report["held"] and Held(
            reason=report["held"]["reason"], task_ids=tuple(report["held"]["task_ids"])
        )

    async def save(self, revision: str | None, now: datetime) -> None:
        """Keep it as that of a sync at `now`, of the folder at the git commit `revision`."""
        before, self._since = self._since, {}
        errors, new = [], 0
        for fault in of_all(self.faults):
            error = fault.as_json()
            key = _key(error)
            if key not in before and not isinstance(fault, Pending):
                new += 1
                if new <= LOGGED:
                    log.warning("task_file_refused", fault=str(fault))
            self._since[key] = before.get(key, now)
            errors.append({**error, "since": self._since[key].isoformat()})
        if new > LOGGED:
            log.warning("task_files_refused", more=new - LOGGED)
        await self._store(
            {
                "synced_at": now.isoformat(),
                "revision": revision,
                "errors": errors,
                "files_at_fault": len({fault.path for fault in self.faults if fault.path}),
                "held": self.held and asdict(self.held),
            }
        )

    async def _store(self, report: dict[str, Any]) -> None:
        """Keep a report, or else what it comes to: what was synced stays synced.

        Raises `Unavailable` where not even that can be kept.
        """
        try:
            await self._database.write(
                lambda connection: set_value(connection, _REMEMBERED, report)
            )
        except Exception as error:
            # A server ends the connection over a packet that is too large, which looks as an
            # outage does: only the smaller report tells them apart.
            if isinstance(error, Unavailable) and len(to_json(report)) <= SMALL_BYTES:
                raise
            small = _reduced(report)
            await self._database.write(lambda connection: set_value(connection, _REMEMBERED, small))
            log.warning(
                "sync_report_reduced", faults=len(report["errors"]), error=str(error)[:1000]
            )


def _reduced(report: Mapping[str, Any]) -> dict[str, Any]:
    errors, held = report["errors"], report["held"]
    told = Fault(reason=f"{len(errors):,} faults were found, but can't be kept: see the log")
    return {
        **report,
        "errors": [{**told.as_json(), "since": report["synced_at"]}] if errors else [],
        "held": held and {**held, "task_ids": held["task_ids"][:HELD_TOLD]},
    }


async def last_report(connection: Connection) -> dict[str, Any]:
    """What the last sync came to: `synced_at`, `revision`, `errors`, `files_at_fault` and `held`.

    They are as JSON has them; before the first sync all of them are empty.
    """
    found = await get_value(connection, _REMEMBERED)
    return _NOTHING | (found if _can_be_told(found) else {})


def _can_be_told(report: Any) -> bool:
    """Whether what stands in the database is a report."""
    try:
        for error in report["errors"]:
            _key(error)
            datetime.fromisoformat(error["since"])
        return report["held"] is None or isinstance(report["held"]["task_ids"], list)
    except (TypeError, KeyError, ValueError):
        return False


def _key(error: Mapping[str, Any]) -> str:
    """What makes a fault the same one as before, though the lines above it may have moved."""
    known = [error["path"], error["task_id"], error["field"], error["reason"]]
    return overlay.digest(known)[:32]
