"""The timeline: what ran is counted by the database, what is to come from the triggers."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taskservice.service import Service
from taskservice.service.offload import Offload
from taskservice.service.timeline import MARKS, SLOT, SLOTS, Timeline, Timelines
from taskservice.storage import executions as log
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from tests.storage.samples import statements

TASK = """\
name: {name}
task_type: t
{trigger}
func_path: taskservice.examples.simple_task
func_args: {{message: m}}
"""
DAILY = "trigger_type: cron\ntrigger_args: {{hour: {hour}, timezone: UTC}}"
OFTEN = "trigger_type: interval\ntrigger_args: {seconds: 10, start_date: 2030-01-01T00:00:00Z}"


def declare(folder: Path, task_id: str, trigger: str, name: str = "a task") -> None:
    """Write the file of a task."""
    text = TASK.format(name=name, trigger=trigger)
    (folder / f"{task_id}.yaml").write_text(text)


async def record(
    service: Service, task_id: str, starts: Sequence[datetime], status: str = "completed"
) -> None:
    """Insert executions of a second each."""
    rows = [
        ExecutionRow(id=new_id(), task_id=task_id, start_time=start, status=status,
                  end_time=None if status == "running" else start + timedelta(seconds=1))
        for start in starts
    ]  # fmt: skip
    await service.database.write(lambda connection: connection.run_sync(log.add, rows))


async def made(service: Service, now: datetime, wanted: str = "", page: int = 1) -> Timeline:
    """The timeline at a moment."""
    return await service.timelines.make(wanted, page=page, size=2, now=now)


async def test_past_and_future_stand_side_by_side(service: Service, folder: Path) -> None:
    now = datetime.now(UTC).replace(minute=7, second=3, microsecond=5)
    declare(folder, "daily", DAILY.format(hour=(now.hour + 3) % 24), "夜间")
    declare(folder, "often", OFTEN)
    declare(folder, "idle", "trigger_type: date\ntrigger_args: {run_date: 2050-01-01T00:00:00Z}")
    await service.syncs.sync(prune=False, by="me")
    day = [now - timedelta(hours=24) + timedelta(minutes=20 * n) for n in range(70)]
    await record(service, "often", day)
    await record(service, "often", [day[3]], "failed")
    await record(service, "daily", [now - timedelta(hours=2)], "missed")
    found = await made(service, now)
    assert found.now == now
    assert found.begin == now.replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    assert found.end - found.begin == (2 * SLOTS + 1) * SLOT
    assert found.since is None
    assert found.total == 2
    often, daily = found.lanes
    assert (often.task_id, often.ran, often.executions) == ("often", 71, None)
    assert sum(sum(counts.values()) for counts in often.past.values()) == 71
    place = (day[3] - found.begin) // SLOT
    assert often.past[place] == {"completed": 1, "failed": 1}
    assert found.slots[place].past == {"completed": 1, "failed": 1}
    assert (daily.name, daily.ran, daily.fires, daily.past) == ("夜间", 1, 1, {})
    assert [one.status for one in daily.executions or ()] == ["missed"]
    expected = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)
    assert daily.moments == [expected]
    place = (expected - found.begin) // SLOT
    slot = found.slots[place]
    assert (slot.begin, slot.past) == (expected, {})
    assert slot.fires == 1 + (often.coming[place - SLOTS] if often.fires else 0)
    busy = [one for one in found.busiest if not one.future]
    assert busy[0].slot.begin < busy[-1].slot.begin
    assert ("often", "a task", 2) in [task for one in busy for task in one.tasks]


async def test_many_fires_are_counted_and_few_are_told(service: Service, folder: Path) -> None:
    now = datetime(2031, 5, 1, 10, 20, tzinfo=UTC)
    declare(folder, "often", OFTEN)
    declare(folder, "daily", DAILY.format(hour=0))
    await service.syncs.sync(prune=False, by="me")
    found = await made(service, now)
    often, daily = found.lanes
    assert often.moments is None
    assert often.coming[0] == 59
    assert often.coming[1:] == [90] * SLOTS
    assert often.fires > MARKS
    assert daily.moments == [datetime(2031, 5, 2, tzinfo=UTC)]
    [midnight] = [
        one for one in found.busiest if one.slot.begin == datetime(2031, 5, 2, tzinfo=UTC)
    ]
    assert midnight.future
    assert midnight.slot.fires == 91
    assert list(midnight.tasks) == [("often", "a task", 90), ("daily", "a task", 1)]


async def test_lanes_are_searched_and_come_by_pages(service: Service, folder: Path) -> None:
    now = datetime(2031, 5, 1, tzinfo=UTC)
    for number in range(5):
        declare(folder, f"t{number}", DAILY.format(hour=number), f"Report {number}%")
    await service.syncs.sync(prune=False, by="me")
    pages = [await made(service, now, "report", page) for page in (1, 2, 3, 4)]
    assert [one.total for one in pages] == [5] * 4
    assert [[lane.task_id for lane in one.lanes] for one in pages] == [
        ["t0", "t1"], ["t2", "t3"], ["t4"], []
    ]  # fmt: skip
    assert [lane.task_id for lane in (await made(service, now, "3%")).lanes] == ["t3"]
    assert (await made(service, now, "nothing")).lanes == []
    assert sum(slot.fires for slot in pages[0].slots) == 5


async def test_too_many_executions_are_cut(service: Service, folder: Path) -> None:
    declare(folder, "t", DAILY.format(hour=0))
    await service.syncs.sync(prune=False, by="me")
    now = datetime.now(UTC)
    starts = [now - timedelta(hours=hours) for hours in range(1, 11)]
    await record(service, "t", starts)
    looking = Offload("looking", threads=1, waiting=9, busy="never")
    few = Timelines(service.database, service.engine, UTC, looking, most=3)
    found = await few.make("", page=1, size=2, now=now)
    assert found.since == starts[3]
    assert found.lanes[0].ran == 4


async def test_another_replica_tells_the_same(
    service: Service, make_service: Callable[..., Service], folder: Path
) -> None:
    declare(folder, "daily", DAILY.format(hour=0))
    declare(folder, "often", OFTEN)
    await service.syncs.sync(prune=False, by="me")
    other = make_service()
    now = datetime(2031, 5, 1, 10, 20, tzinfo=UTC)
    elsewhere = Timelines(
        other.database,
        other.engine,
        UTC,
        Offload("looking", threads=1, waiting=9, busy="never"),
    )
    mine, theirs = await made(service, now), await elsewhere.make("", page=1, size=2, now=now)
    assert mine == theirs


async def test_the_queries_do_not_grow_with_the_tasks(service: Service, folder: Path) -> None:
    now = datetime(2031, 5, 1, tzinfo=UTC)
    declare(folder, "t0", DAILY.format(hour=0))
    await service.syncs.sync(prune=False, by="me")
    with statements(service.database, reads=True) as few:
        await made(service, now)
    for number in range(1, 20):
        declare(folder, f"t{number}", DAILY.format(hour=0))
    await service.syncs.sync(prune=False, by="me")
    with statements(service.database, reads=True) as many:
        await service.timelines.make("", page=1, size=50, now=now)
    assert len([one for one in many if "task_execution_log" in one]) <= len(few)
