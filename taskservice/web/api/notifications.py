"""The routes of who is told of what."""

from typing import Annotated

from litestar import Response, delete, get, post
from litestar.params import FromPath, QueryParameter

from taskservice.domain.errors import NotFound
from taskservice.service import LONGEST_REASON
from taskservice.web import schemas
from taskservice.web.api.parameters import READ, Caller, ServiceDep, SightDep, Until, task_answer
from taskservice.web.openapi import ETAG, problems

MOST_MESSAGES = 100


@post(
    "/task-manage/{task_id:str}/silence",
    operation_id="silenceTask",
    summary="Silence a task",
    tags=["Notifications"],
    status_code=200,
    responses=READ,
    response_headers=[ETAG],
)
async def silence_task(
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    reason: Annotated[
        str | None,
        QueryParameter(max_length=LONGEST_REASON, description="Why; it is needed"),
    ] = None,
    until: Until = None,
) -> Response[schemas.Task]:
    """Tells nobody of it until `until`, or until it recovers, whichever is first."""
    await service.notifications.silences.silence(
        task_id, by=caller, sight=sight, reason=reason, until=until
    )
    return task_answer(service, await service.tasks.show(task_id))


@get(
    "/task-manage/{task_id:str}/silence",
    operation_id="getSilence",
    summary="Get a task's silence",
    tags=["Notifications"],
    responses=READ,
)
async def get_silence(service: ServiceDep, task_id: FromPath[str]) -> schemas.Silence:
    """Why nobody is told of it, and until when; 404 where it is not silenced."""
    found = await service.notifications.silences.get(task_id)
    if found is None:
        raise NotFound("the task is not silenced")
    return schemas.Silence.of(found)


@delete(
    "/task-manage/{task_id:str}/silence",
    operation_id="unsilenceTask",
    summary="End a task's silence",
    tags=["Notifications"],
    status_code=200,
    responses=READ,
    response_headers=[ETAG],
)
async def unsilence_task(
    service: ServiceDep, caller: Caller, sight: SightDep, task_id: FromPath[str]
) -> Response[schemas.Task]:
    """Lets people be told of it again, if it was silenced."""
    await service.notifications.silences.unsilence(task_id, by=caller, sight=sight)
    return task_answer(service, await service.tasks.show(task_id))


@get(
    "/task-manage/{task_id:str}/messages",
    operation_id="listMessages",
    summary="List what people were told of a task",
    tags=["Notifications"],
    responses=READ,
)
async def list_messages(
    service: ServiceDep,
    task_id: FromPath[str],
    count: Annotated[
        int, QueryParameter(ge=1, le=MOST_MESSAGES, description="How many at most")
    ] = 20,
) -> list[schemas.Message]:
    """The last ones, newest first: by which channel, with which answer."""
    found = await service.notifications.messages(task_id, limit=count)
    return [schemas.Message.of(one) for one in found]


@get(
    "/channels",
    operation_id="listChannels",
    summary="List the channels",
    tags=["Notifications"],
    responses=problems(),
)
async def list_channels(service: ServiceDep) -> list[schemas.Channel]:
    """Their names, what waits for them, and what came of the last message."""
    return [schemas.Channel.of(one) for one in await service.notifications.channels()]


@post(
    "/channels/{name:str}/test",
    operation_id="testChannel",
    summary="Send a test to a channel",
    tags=["Notifications"],
    status_code=200,
    responses=READ,
)
async def test_channel(
    service: ServiceDep, caller: Caller, name: FromPath[str]
) -> schemas.ChannelTest:
    """Sends a message at once, and tells whether it was taken."""
    answer = await service.notifications.test(name, by=caller)
    return schemas.ChannelTest(taken=answer.taken, answer=answer.told)


HANDLERS = (
    silence_task, get_silence, unsilence_task, list_messages, list_channels, test_channel,
)  # fmt: skip
