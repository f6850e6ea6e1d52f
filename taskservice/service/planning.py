"""What a sync of a folder that is not there yet would do to the tasks that are."""

import asyncio
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import PurePosixPath

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_each
from taskservice.domain.preview import Preview
from taskservice.service.reading import now_utc
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.overrides import all_overrides
from taskservice.sync.declaring import Check, declared_by
from taskservice.sync.listing import is_task_file, passed_over
from taskservice.sync.planning import plan_of, preview


async def plan_folder(
    database: Database, files: Mapping[str, object], *, check: Check, zone: tzinfo
) -> Preview:
    """What a sync would do if the folder had these files, their texts by path, and no other.

    Nothing is changed. Raises `Invalid` for what can't be a file's path or text.
    """
    texts = _texts(files)
    async with database.read() as connection:
        stored = await store.declared(connection)
    now = now_utc()
    declared = await asyncio.to_thread(declared_by, texts, stored, check)
    plan = plan_of(declared, stored, now)
    async with database.read() as connection:
        existing = await store.load(connection, [*plan.write, *plan.retire, *plan.forget])
        overrides = await all_overrides(connection)
    return await asyncio.to_thread(
        preview, plan, declared, existing, overrides, check=check, zone=zone, now=now
    )


def _texts(files: Mapping[str, object]) -> dict[str, bytes]:
    """The task files among them; others are passed over, as in a folder."""
    wrong: list[tuple[str, str]] = []
    texts = {}
    for path, text in files.items():
        parts = PurePosixPath(path).parts
        if path != "/".join(parts) or not parts or parts[0] == "/" or ".." in parts:
            wrong.append((path, "must be a path in the folder"))
        elif not isinstance(text, str):
            wrong.append((path, "must be the text of a file"))
        elif is_task_file(path) and not any(map(passed_over, parts)):
            texts[path] = text.encode("utf-8", "surrogatepass")
    if wrong:
        raise Invalid(of_each(wrong, lambda one: Fault(field=f"files.{one[0]}", reason=one[1])))
    return texts
