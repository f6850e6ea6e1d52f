"""What a sync of a folder that is not there yet would do to the tasks that are."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_each
from taskservice.domain.preview import Preview
from taskservice.service.moments import now_utc
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.overrides import all_overrides
from taskservice.sync.folder.declaring import Check, declared_by
from taskservice.sync.planning import plan_of, preview
from taskservice.sync.text.task_files import is_task_file, passed_over

MOST_FILES = 50_000
"""Files of a plan."""

T = TypeVar("T")


class Call(Protocol):
    """Calls a function off the event loop."""

    async def __call__(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T: ...


async def plan_folder(
    database: Database,
    files: Mapping[str, object],
    shape: Callable[[Preview], T],
    *,
    call: Call,
    check: Check,
    zone: tzinfo,
) -> T:
    """What a sync would do if the folder had these files, their texts by path, and no other.

    It is given back as `shape` makes it. Nothing is changed. Raises `Invalid` for what can't be a
    file's path or text, and for more than `MOST_FILES` files.
    """
    if len(files) > MOST_FILES:
        reason = f"has {len(files)} files; at most {MOST_FILES} are allowed"
        raise Invalid([Fault(field="files", reason=reason)])
    texts = await call(_texts, files)
    async with database.read() as connection:
        stored = await store.declared(connection)
    declared = await call(declared_by, texts, stored, check)
    # Reading took its time. What the plan is of is one state of the tables: a task that is gone
    # from it is gone from the plan.
    async with database.snapshot() as connection:
        stored = await store.declared(connection)
        now = now_utc()
        plan = await call(plan_of, declared, stored, now)
        existing = await store.load(connection, [*plan.write, *plan.retire, *plan.forget])
        overrides = await all_overrides(connection)

    def made() -> T:
        return shape(preview(plan, declared, existing, overrides, check=check, zone=zone, now=now))

    return await call(made)


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
