"""What the last sync came to, kept in the database for every process to tell."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog

from taskservice.domain import overlay
from taskservice.domain.errors import Fault
from taskservice.domain.plan import Held
from taskservice.storage.database import Connection, Database
from taskservice.storage.memory import recall, remember

_REMEMBERED = "sync report"

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
        errors = []
        for fault in self.faults:
            error = asdict(fault)
            key = _key(error)
            if key not in before:
                log.warning("task_file_refused", fault=str(fault))
            self._since[key] = before.get(key, now)
            errors.append({**error, "since": self._since[key].isoformat()})
        report = {
            "synced_at": now.isoformat(),
            "revision": revision,
            "errors": errors,
            "held": self.held and asdict(self.held),
        }
        await self._database.write(lambda connection: remember(connection, _REMEMBERED, report))


async def last_report(connection: Connection) -> dict[str, Any]:
    """What the last sync came to: `synced_at`, `revision`, `errors` and `held`, as JSON has them.

    Before the first sync all of them are empty.
    """
    nothing: dict[str, Any] = {"synced_at": None, "revision": None, "errors": [], "held": None}
    return await recall(connection, _REMEMBERED) or nothing


def _key(error: Mapping[str, Any]) -> str:
    """What makes a fault the same one as before, though the lines above it may have moved."""
    known = [error["path"], error["task_id"], error["field"], error["reason"]]
    return overlay.digest(known)[:32]
