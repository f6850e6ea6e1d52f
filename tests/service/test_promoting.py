"""A promotion asks the folder and the tables, whatever database that is."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Conflict, NotFound, TooManyRequests
from taskservice.service import Promotions, Service
from taskservice.service.contributions import promotions_of
from taskservice.service.moments import now_utc
from taskservice.service.promoting import promotion_of
from taskservice.storage import tasks as store

FILE = """\
name: 名 😀
task_type: t
trigger_type: interval
trigger_args: {hours: 1.50, start_date: 2026-01-01}
func_path: taskservice.examples.simple_task
func_args: {message: {z: [1, 1.0, 1e3, 2.5e-7, null, true], "a b": -0.0, big: 9223372036854775807}}
misfire_grace_time: null
"""


FLOW = (
    "name: n, task_type: t, trigger_type: interval, trigger_args: {hours: 1}, "
    "func_path: taskservice.examples.simple_task, func_args: {message: m}"
)


async def declare(service: Service, folder: Path, text: str = FILE) -> None:
    (folder / "a.yaml").write_text(text)
    await service.syncs.sync(prune=False, by="ann")


async def test_what_is_stored_is_known_again_in_the_file(service: Service, folder: Path) -> None:
    await declare(service, folder)
    await service.changes.change("a", {"timeout": 2.5}, by="ann", reason="slow")
    await service.changes.change("a", {"tags": ["x"]}, by="ben")
    found = await service.declarations.promotion("a")
    assert (found.before, found.after) == (FILE, FILE + "tags: [x]\ntimeout: 2.5\n")
    assert [(author.name, author.fields, author.reason) for author in found.authors] == [
        ("ann", ("timeout",), "slow"), ("ben", ("tags",), None),
    ]  # fmt: skip
    some = await service.declarations.promotion("a", ["tags"])
    assert some.after == FILE + "tags: [x]\n"
    with pytest.raises(NotFound, match="no override of 'name'; there are: tags, timeout"):
        await service.declarations.promotion("a", ["name"])
    await declare(service, folder, some.after)
    assert [one.field for one in await service.declarations.provenance("a", overridden=True)] == [
        "timeout"
    ]


async def test_what_ends_by_itself_is_left_out_unless_it_is_named(
    service: Service, folder: Path
) -> None:
    await declare(service, folder)
    await service.changes.set_paused("a", True, by="ann", until="1h")
    found = await service.declarations.promotion("a")
    assert (found.diff, found.authors) == ("", ())
    ((field, until),) = [(one.field, one.until) for one in found.left_out]
    assert field == "paused" and timedelta(minutes=59) < until - now_utc() < timedelta(hours=1)
    await service.changes.change("a", {"timeout": 5}, by="ann")
    found = await service.declarations.promotion("a")
    assert (found.after, len(found.left_out)) == (FILE + "timeout: 5\n", 1)
    named = await service.declarations.promotion("a", ["paused"])
    assert (named.after, named.left_out) == (FILE + "paused: true\n", ())
    named = await service.declarations.promotion("a", ["paused", "timeout"])
    assert named.after == FILE + "paused: true\ntimeout: 5\n"


async def test_a_deletion_that_ends_by_itself_is_left_out_too(
    service: Service, folder: Path
) -> None:
    await declare(service, folder)
    await service.changes.delete("a", by="ann", until="1h")
    found = await service.declarations.promotion("a")
    assert found.diff == "" and [one.field for one in found.left_out] == ["deleted"]
    assert (await service.declarations.promotion("a", ["deleted"])).after is None


async def test_a_pause_with_an_end_is_not_in_the_new_file_of_a_task(
    service: Service, folder: Path
) -> None:
    await service.changes.create(
        {
            "id": "own", "name": "n", "task_type": "t", "trigger_type": "interval",
            "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
            "func_args": {"message": "m"},
        },
        by="ann",
    )  # fmt: skip
    await service.changes.set_paused("own", True, by="ann", until="1h")
    found = await service.declarations.promotion("own")
    assert "paused" not in str(found.after) and len(found.left_out) == 1
    assert "paused: true" in str((await service.declarations.promotion("own", ["paused"])).after)


async def test_an_override_whose_time_is_over_is_not_promoted(
    service: Service, folder: Path
) -> None:
    await declare(service, folder)
    await service.changes.set_paused("a", True, by="ann", until="1h")
    async with service.database.read() as connection:
        stored = (await store.load(connection, ["a"]))["a"]
    later = now_utc() + timedelta(hours=2)
    assert promotion_of(folder, "a", stored, (), later).diff == ""
    with pytest.raises(NotFound, match="there are: none"):
        promotion_of(folder, "a", stored, ["paused"], later)


async def test_a_task_of_the_apis_and_what_it_was_given(service: Service, folder: Path) -> None:
    fields: dict[str, Any] = {
        "id": "own", "name": "n", "task_type": "t", "trigger_type": "interval",
        "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
        "func_args": {"message": "m"}, "tags": None, "timeout": 5,
    }  # fmt: skip
    await service.changes.create(fields, by="ann")
    found = await service.declarations.promotion("own")
    assert (found.path, found.before) == ("own.yaml", None)
    assert found.authors[0].name == "ann"
    (folder / found.path).write_text(found.after or "")
    await service.syncs.sync(prune=False, by="ann")
    shown = await service.tasks.show("own")
    assert (shown.source, shown.overridden) == ("file", "[]")
    assert (await service.declarations.promotion("own")).diff == ""


async def test_of_a_task_with_nothing_to_promote_no_file_is_read(
    service: Service, folder: Path
) -> None:
    await declare(service, folder)
    await service.changes.set_paused("a", True, by="ann", until="1h")
    (folder / "a.yaml").write_text("name: [\n")

    def shape(found: Promotions) -> Promotions:
        return found

    found = await service.declarations.promotions((), ("file",), (), shape)
    assert (found.files, found.refused) == ((), ())
    assert [one.field for one in found.left_out] == ["paused"]


async def test_one_promotion_of_several_is_made_at_a_time(service: Service, folder: Path) -> None:
    await declare(service, folder)
    begun, over = threading.Event(), threading.Event()

    def shape(found: object) -> threading.Thread:
        begun.set()
        assert over.wait(30)
        return threading.current_thread()

    first = asyncio.create_task(service.declarations.promotions(["a"], (), (), shape))
    try:
        assert await asyncio.to_thread(begun.wait, 30)
        with pytest.raises(TooManyRequests, match="another promotion is being made"):
            await service.declarations.promotions(["a"], (), (), shape)
        assert (await service.declarations.promotion("a")).diff == ""
    finally:
        over.set()
    assert await first is not threading.main_thread()


async def test_what_is_too_much_is_refused_and_the_rest_promoted(
    service: Service, folder: Path
) -> None:
    (folder / "b.yaml").write_text(FILE)
    await declare(service, folder, f"tasks:\n  a: {{{FLOW}}}\n  c: {{{FLOW}}}\n")
    for task_id in ("a", "c", "b"):
        await service.changes.change(task_id, {"timeout": 5}, by="ann")
    await service.changes.change("a", {"description": "d"}, by="ben")
    async with service.database.read() as connection:
        tasks = await store.load(connection, ["a", "b", "c"])
    flow, file = ((folder / name).stat().st_size for name in ("a.yaml", "b.yaml"))

    def made(most_bytes: int) -> Promotions:
        return promotions_of(folder, tasks, (), now_utc(), executor="local", most_bytes=most_bytes)

    # A file counts once for each author, however many of its tasks they changed.
    assert made(flow + file + 1).refused == ()
    both = [("a", "c"), ("b",)]
    for most_bytes, refused, ids in ((flow + file, ["a"], both), (flow, ["b", "a"], both[:1])):
        found = made(most_bytes)
        assert [one.task_id for one in found.refused] == refused
        assert all("more than one promotion takes" in one.detail for one in found.refused)
        assert [change.task_ids for change in found.files] == ids


async def test_a_message_has_an_end(service: Service, folder: Path) -> None:
    ids = [f"t{number}" for number in range(251)]
    await declare(service, folder, "tasks:\n" + "".join(f"  {one}: {{{FLOW}}}\n" for one in ids))
    for task_id in ids:
        reason = "slow\n\nSigned-off-by: Boss"
        await service.changes.change(task_id, {"timeout": 5}, by="ann", reason=reason)
    async with service.database.read() as connection:
        tasks = await store.load(connection, ids)
    [made] = promotions_of(folder, tasks, (), now_utc(), executor="local").contributions
    assert str(made.files["a.yaml"]).count("timeout: 5") == 251
    subject, blank, *lines = made.message.split("\n")
    assert (subject, blank) == ("Promote overrides of 251 tasks", "")
    assert lines[:2] == ["t0: timeout: null -> 5", "  reason: slow  Signed-off-by: Boss"]
    assert lines[500:] == ["  … and 2 lines more", ""]


async def test_tasks_on_one_line_are_promoted_one_by_one(service: Service, folder: Path) -> None:
    await declare(service, folder, f"tasks: {{a: {{{FLOW}}}, b: {{{FLOW}}}}}\n")
    for task_id in ("a", "b"):
        await service.changes.change(task_id, {"timeout": 5}, by="ann")
    async with service.database.read() as connection:
        tasks = await store.load(connection, ["a", "b"])
    found = promotions_of(folder, tasks, (), now_utc(), executor="local")
    own = f"{{{FLOW}, timeout: 5}}"
    assert [one.after for one in found.files] == [f"tasks: {{a: {own}, b: {own}}}\n"]


async def test_a_file_that_says_something_else_is_not_changed(
    service: Service, folder: Path
) -> None:
    await declare(service, folder)
    await service.changes.change("a", {"timeout": 2.5}, by="ann")
    for text in ("name: [\n", "tasks:\n  b: {name: n}\n", FILE + "nam: x\n"):
        (folder / "a.yaml").write_text(text)
        with pytest.raises(Conflict, match=r"^a\.yaml has changed"):
            await service.declarations.promotion("a")
    (folder / "a.yaml").write_text("x" * 2**21)
    with pytest.raises(Conflict, match=r"a\.yaml: the file has 2097152 bytes"):
        await service.declarations.promotion("a")
    with pytest.raises(NotFound, match="no task 'nobody'"):
        await service.declarations.promotion("nobody")
