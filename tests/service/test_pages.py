"""What the service does for pages: keeping an override, forecasts, and trying a change out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from taskservice.domain.errors import NotFound
from taskservice.service import Service

FILE = """\
name: t
task_type: t
trigger_type: cron
trigger_args: {{crontab: "30 2 * * *", timezone: Europe/Berlin}}
func_path: taskservice.examples.notification_task
func_args: {{user_id: u, message: {message}, channel: {channel}}}
"""


async def declare(service: Service, folder: Path, **values: str) -> None:
    """Writes the task's file and syncs it."""
    given = {"message": "hello", "channel": "email", **values}
    (folder / "t.yaml").write_text(FILE.format(**given))
    await service.syncs.sync(prune=False, by="me")


async def test_a_conflict_that_is_kept_is_over(service: Service, folder: Path) -> None:
    await declare(service, folder)
    args = {"user_id": "u", "message": "mine", "channel": "sms"}
    await service.changes.change("t", {"func_args": args}, by="ann", reason="why")
    await declare(service, folder, message="theirs", channel="post")
    assert (await service.tasks.show("t")).drift == "conflict"
    await service.changes.keep("t", "func_args.message", by="bob")
    [channel, message] = await service.declarations.provenance("t", overridden=True)
    assert (message.value, message.declared, message.declared_when_set) == (
        "mine", "theirs", "theirs",
    )  # fmt: skip
    assert (message.set_by, message.reason) == ("ann", "why")
    # The other one is still to be settled.
    assert channel.declared_when_set == "email"
    assert (await service.tasks.show("t")).drift == "conflict"
    await service.changes.keep("t", "func_args.channel", by="bob")
    assert (await service.tasks.show("t")).drift == "overridden"


async def test_what_is_not_overridden_can_not_be_kept(service: Service, folder: Path) -> None:
    await declare(service, folder)
    with pytest.raises(NotFound, match="no override of 'name'; there are: none"):
        await service.changes.keep("t", "name", by="ann")
    with pytest.raises(NotFound):
        await service.changes.keep("nope", "name", by="ann")


async def test_a_forecast_is_in_the_tasks_zone(service: Service, folder: Path) -> None:
    await declare(service, folder)
    forecast = await service.tasks.forecast("t", 3)
    assert forecast.zone == ZoneInfo("Europe/Berlin")
    assert list(forecast.fires) == await service.tasks.fires("t", 3)
    # Every spring the clock there skips half past two.
    assert {one.kind for one in forecast.clock_changes} == {"skipped", "repeated"}
    await service.changes.set_paused("t", True, by="ann")
    assert (await service.tasks.forecast("t", 3)).fires == ()


async def test_a_change_is_tried_out_without_being_made(service: Service, folder: Path) -> None:
    await declare(service, folder)
    before = await service.tasks.show("t")
    trial = await service.tasks.try_out("t", {"trigger_args": {"crontab": "0 9 * * *"}}, 4)
    assert trial.faults == ()
    assert trial.forecast is not None
    assert [fire.hour for fire in trial.forecast.fires] == [9, 9, 9, 9]
    wrong = {"trigger_args": {"crontab": "99 9 * * *"}, "func_args": {"nope": 1}}
    trial = await service.tasks.try_out("t", wrong, 4)
    assert trial.forecast is None
    assert "trigger_args.crontab" in {fault.field for fault in trial.faults}
    assert await service.tasks.show("t") == before
    with pytest.raises(NotFound):
        await service.tasks.try_out("nope", {}, 4)


INTERVAL: dict[str, object] = {
    "id": "i", "name": "i", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip


@pytest.mark.parametrize("paused", [False, True])
async def test_a_trial_of_an_interval_tells_the_fires_that_come(
    service: Service, paused: bool
) -> None:
    await service.changes.create(INTERVAL, by="ann")
    kept = await service.tasks.fires("i", 3)
    if paused:
        await service.changes.set_paused("i", True, by="ann")
    for change in ({"description": "new"}, {"trigger_args": {"hours": 1.0}}):
        trial = await service.tasks.try_out("i", change, 3)
        assert trial.forecast is not None
        assert trial.forecast.zone is service.settings.timezone
        assert list(trial.forecast.fires) == kept
        await service.changes.change("i", change, by="ann")
    await service.changes.set_paused("i", False, by="ann")
    assert await service.tasks.fires("i", 3) == kept


async def test_a_trial_of_another_interval_counts_from_the_saving(service: Service) -> None:
    await service.changes.create(INTERVAL, by="ann")
    begin = datetime.now(UTC)
    trial = await service.tasks.try_out("i", {"trigger_args": {"minutes": 7}}, 2)
    await service.changes.change("i", {"trigger_args": {"minutes": 7}}, by="ann")
    end = datetime.now(UTC)
    assert trial.forecast is not None
    for first, second in (trial.forecast.fires, await service.tasks.fires("i", 2)):
        assert begin <= first - timedelta(minutes=7) <= end
        assert second - first == timedelta(minutes=7)


async def test_nothing_is_asked_of_no_tasks(service: Service) -> None:
    assert await service.executions.latest([], 20) == {}
    assert await service.tasks.ends_of_pauses([]) == {}
