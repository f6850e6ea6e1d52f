"""The route that tells what changes, for as long as the client listens."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from typing import Annotated
from weakref import WeakKeyDictionary

import msgspec
from litestar import Response, get
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from taskservice.domain.errors import Unavailable
from taskservice.service import Event, Subscription
from taskservice.settings import Executor
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.shown import Shown
from taskservice.web import auth, schemas
from taskservice.web.api.parameters import AnyRequest, ServiceDep, SightDep, is_head
from taskservice.web.openapi import problems

STREAM = "text/event-stream"

COMMENT_SECONDS = 15.0
"""How often something is sent at least: it keeps connections, and finds clients that went."""

PIECE = 64 * 1024
"""Bytes of events that are sent at once: what is not taken of them is kept for a client."""

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_BEGIN = b"retry: 1000\n\n"
_COMMENT = b": nothing new\n\n"

_frames: WeakKeyDictionary[Event, bytes] = WeakKeyDictionary()
"""Each event as it is sent: made once, however many listen."""


@get(
    "/events",
    operation_id="listen",
    summary="Listen to changes of tasks and executions",
    tags=["Events"],
    responses={
        **problems(),
        200: ResponseSpec(
            str, description="Server-sent events", media_type=STREAM, generate_examples=False
        ),
    },
)
async def get_events(
    request: AnyRequest,
    service: ServiceDep,
    sight: SightDep,
    task_id: Annotated[
        str | None, QueryParameter(max_length=36, description="Only what is about this task")
    ] = None,
) -> ASGIApp:
    """Server-sent events, for `EventSource`: within a second, whichever replica made the change.

    `task` has the task as `GET /task-manage/{task_id}` gives it, `task-gone` its `id`; `execution`,
    when it is queued, begins and ends, has the execution as a page of the log gives it; `sync` has
    the report of `GET /sync`, when more of it changed than its time. After `reset` (too much
    changed, the client was too slow, or it comes back) read again what you show. What changed
    before the answer begins is not told: listen first, then read.
    """
    if is_head(request):
        return Response(b"", media_type=STREAM, headers=_HEADERS).to_asgi_response(None, request)
    again = "last-event-id" in request.headers
    subscription = await service.watcher.subscribe(
        task_id, again=again, sight=sight, holds=auth.holds(request)
    )

    async def frame(event: Event) -> bytes:
        if event.name == "sync" and sight.is_narrowed:
            try:
                event = replace(event, data=await service.syncs.report(sight))
            except Unavailable:
                return b""  # there will be a reset
        return _frame(event, service.settings.executor)

    answer = ASGIStreamingResponse(
        iterator=_sent(subscription, frame, request.app.state.comment_seconds),
        media_type=STREAM,
        headers=_HEADERS,
        status_code=200,
    )

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        with closing(subscription):
            await answer(scope, receive, send)

    return stream


async def _sent(
    subscription: Subscription,
    frame: Callable[[Event], Awaitable[bytes]],
    comment_seconds: float,
) -> AsyncIterator[bytes]:
    yield _BEGIN
    while (events := await subscription.next(comment_seconds)) is not None:
        if not events:
            yield _COMMENT
        # Many are sent together, but no more than a client that is slow may leave unread.
        piece = bytearray()
        for event in events:
            piece += await frame(event)
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)


def _frame(event: Event, executor: Executor) -> bytes:
    frame = _frames.get(event)
    if frame is None:
        # Between the values of JSON that somebody else stored there may be line breaks.
        data = b" ".join(msgspec.json.encode(_shape(event, executor)).splitlines())
        frame = f"id: {event.id}\nevent: {event.name}\ndata: ".encode() + data + b"\n\n"
        _frames[event] = frame
    return frame


def _shape(event: Event, executor: Executor) -> object:
    match event.data:
        case Shown() as task:
            return schemas.Task.of(task, executor)
        case ExecutionRow() as execution:
            return schemas.Execution.of(execution)
    return schemas.SyncReport.of(event.data) if event.name == "sync" else event.data


HANDLERS = (get_events,)
