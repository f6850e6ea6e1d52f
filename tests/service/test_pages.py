"""What the service does for pages: keeping an override, forecasts, and trying a change out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from taskservice.domain.errors import Invalid, NotFound
from taskservice.service import Service
from taskservice.service.forecasting import forecast_for

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
    await service.sync_now(prune=False, by="me")


async def test_a_conflict_that_is_kept_is_over(service: Service, folder: Path) -> None:
    await declare(service, folder)
    args = {"user_id": "u", "message": "mine", "channel": "sms"}
    await service.change("t", {"func_args": args}, by="ann", reason="why")
    await declare(service, folder, message="theirs", channel="post")
    assert (await service.show("t")).drift == "conflict"
    await service.keep("t", "func_args.message", by="bob")
    [channel, message] = await service.provenance("t", overridden=True)
    assert (message.value, message.declared, message.declared_when_set) == (
        "mine", "theirs", "theirs",
    )  # fmt: skip
    assert (message.set_by, message.reason) == ("ann", "why")
    # The other one is still to be settled.
    assert channel.declared_when_set == "email"
    assert (await service.show("t")).drift == "conflict"
    await service.keep("t", "func_args.channel", by="bob")
    assert (await service.show("t")).drift == "overridden"


async def test_what_is_not_overridden_can_not_be_kept(service: Service, folder: Path) -> None:
    await declare(service, folder)
    with pytest.raises(NotFound, match="no override of 'name'; there are: none"):
        await service.keep("t", "name", by="ann")
    with pytest.raises(NotFound):
        await service.keep("nope", "name", by="ann")


async def test_a_forecast_is_in_the_tasks_zone(service: Service, folder: Path) -> None:
    await declare(service, folder)
    forecast = await service.forecast("t", 3)
    assert forecast.zone == ZoneInfo("Europe/Berlin")
    assert list(forecast.fires) == await service.fires("t", 3)
    # Every spring the clock there skips half past two.
    assert {one.kind for one in forecast.clock_changes} == {"skipped", "repeated"}
    await service.set_paused("t", True, by="ann")
    assert (await service.forecast("t", 3)).fires == ()


async def test_a_change_is_tried_out_without_being_made(service: Service, folder: Path) -> None:
    await declare(service, folder)
    before = await service.show("t")
    trial = await service.try_out("t", {"trigger_args": {"crontab": "0 9 * * *"}}, 4)
    assert trial.faults == ()
    assert trial.forecast is not None
    assert [fire.hour for fire in trial.forecast.fires] == [9, 9, 9, 9]
    wrong = {"trigger_args": {"crontab": "99 9 * * *"}, "func_args": {"nope": 1}}
    trial = await service.try_out("t", wrong, 4)
    assert trial.forecast is None
    assert "trigger_args.crontab" in {fault.field for fault in trial.faults}
    assert await service.show("t") == before
    with pytest.raises(NotFound):
        await service.try_out("nope", {}, 4)


def test_a_trial_has_the_default_zone_where_none_is_named() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    fields = {
        "name": "t", "task_type": "t", "func_path": "a.b",
        "trigger_type": "interval", "trigger_args": {"hours": 1},
    }  # fmt: skip
    forecast = forecast_for(fields, 2, now=now, zone=UTC)
    assert forecast.zone is UTC
    assert forecast.fires == (now + timedelta(hours=1), now + timedelta(hours=2))
    with pytest.raises(Invalid):
        forecast_for({}, 2, now=now, zone=UTC)


async def test_nothing_is_asked_of_no_tasks(service: Service) -> None:
    assert await service.latest([], 20) == {}
    assert await service.ends_of_pauses([]) == {}
