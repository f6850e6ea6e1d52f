"""Tokens that are stored: what they are good for, and since when they are not."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from taskservice.domain.errors import StartError
from taskservice.service import now_utc
from taskservice.service.tokens import Tokens
from tests.web.bodies import hourly
from tests.web.conftest import BASE, Client, Serve
from tests.web.streams import listening
from tests.web.test_web_auth import TOKENS, bearer

WITHIN = 2.5
"""Seconds in which a token that is revoked is good for nothing any more."""


def tokens_of(client: Client) -> Tokens:
    """What the command makes and revokes tokens by."""
    return Tokens(client.service.settings, client.service.database)


def with_token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def within(seconds: float, condition: Callable[[], Awaitable[object]]) -> None:
    """Fail unless something is so within some seconds."""
    async with asyncio.timeout(seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


async def test_a_stored_token_is_good_by_its_role_until_it_is_revoked(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        _, token = await tokens_of(client).create("ci", "operator", by="ann")
        await client.post("/task-manage/", json=hourly(id="t"), headers=bearer("admin"))
        ran = await client.post("/task-manage/t/trigger", headers=with_token(token))
        assert ran.json()["triggered_by"] == "ci"
        refused = await client.delete("/task-manage/t", headers=with_token(token))
        assert refused.json()["detail"] == "ci is operator; this needs admin"
        await tokens_of(client).revoke("ci", by="ann")

        async def is_refused() -> bool:
            answer = await client.get("/task-manage/", headers=with_token(token))
            return answer.status_code == 401

        await within(WITHIN, is_refused)


async def test_the_api_closes_with_the_first_one_and_opens_with_the_last(serve: Serve) -> None:
    async with serve() as client, listening(client, "/events") as stream:
        assert (await client.get("/task-manage/")).status_code == 200
        _, token = await tokens_of(client).create("ci", "viewer", by="ann")

        async def is_closed() -> bool:
            return (await client.get("/task-manage/")).status_code == 401

        await within(WITHIN, is_closed)
        # What was begun by nobody in particular ends as well.
        async with asyncio.timeout(WITHIN):
            assert await stream.next() is None
        assert (await client.get("/task-manage/", headers=with_token(token))).status_code == 200
        assert (await client.get("/sign-in")).status_code == 200
        await tokens_of(client).revoke("ci", by="ann")

        async def is_open() -> bool:
            return (await client.get("/task-manage/")).status_code == 200

        await within(WITHIN, is_open)


async def test_a_stream_ends_with_its_token(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        _, token = await tokens_of(client).create("ci", "viewer", by="ann")
        async with (
            listening(client, "/events", with_token(token)) as ending,
            listening(client, "/events", bearer("viewer")) as other,
        ):
            await client.post("/task-manage/", json=hourly(id="t"), headers=bearer("admin"))
            for stream in (ending, other):
                event = await stream.next()
                assert event is not None and event.data["id"] == "t"
            await tokens_of(client).revoke("ci", by="ann")
            async with asyncio.timeout(WITHIN):
                assert await ending.next() is None
            await client.delete("/task-manage/t", headers=bearer("admin"))
            event = await other.next()
            assert event is not None and event.event == "task-gone"


async def test_a_session_ends_with_its_token_and_so_does_its_stream(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        _, token = await tokens_of(client).create("Bö@ci", "admin", by="ann")
        form = {"token": token}
        signed_in = await client.post("/sign-in", data=form, headers={"Origin": BASE})
        assert signed_in.status_code == 303
        assert (await client.get("/sync")).status_code == 200
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        async with listening(client, "/events", {"Cookie": cookie}) as stream:
            await tokens_of(client).revoke("Bö@ci", by="ann")
            async with asyncio.timeout(WITHIN):
                assert await stream.next() is None
        assert (await client.get("/sync")).status_code == 401
        # Another token of the name does not bring it back.
        await tokens_of(client).create("Bö@ci", "admin", by="ann")
        assert (await client.get("/sync")).status_code == 401


async def test_a_stream_ends_when_its_session_is_signed_out_of(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        await client.post("/sign-in", data={"token": "viewer-secret"}, headers={"Origin": BASE})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        page = await client.get("/sync", headers={"Cookie": cookie})
        assert page.status_code == 200
        async with listening(client, "/events", {"Cookie": cookie}) as stream:
            [value] = client.cookies.values()
            await client.service.ended_sessions.end(value.split(".")[1], float(value.split(".")[0]))
            async with asyncio.timeout(WITHIN):
                assert await stream.next() is None


async def test_one_whose_time_is_over_is_refused(serve: Serve) -> None:
    async with serve() as client:
        soon = now_utc() + timedelta(seconds=0.5)
        _, token = await tokens_of(client).create("ci", "admin", expires_at=soon, by="ann")
        async with listening(client, "/events", with_token(token)) as stream:
            async with asyncio.timeout(WITHIN + 0.5):
                assert await stream.next() is None
        answer = await client.get("/task-manage/", headers=with_token(token))
        assert (answer.status_code, answer.json()["detail"]) == (
            401, "the time of this token is over"
        )  # fmt: skip
        # It is still one: the API has not opened.
        assert (await client.get("/task-manage/")).status_code == 401


async def test_the_document_says_that_one_is_needed(serve: Serve) -> None:
    async with serve() as client:
        _, token = await tokens_of(client).create("ci", "viewer", by="ann")
        document = (await client.get("/schema", headers=with_token(token))).json()
        assert document["security"] == [{"token": []}]
        assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


async def test_its_use_is_noted_on_no_requests_way(serve: Serve) -> None:
    async with serve() as client:
        tokens = tokens_of(client)
        _, token = await tokens.create("ci", "viewer", by="ann")
        assert (await client.get("/functions", headers=with_token(token))).status_code == 200

        async def is_noted() -> bool:
            return (await tokens.living())[0].last_used_at is not None

        await within(WITHIN, is_noted)


async def test_beyond_loopback_it_starts_with_a_token_alone(serve: Serve) -> None:
    with pytest.raises(StartError, match=r"TASKSERVICE_HOST is '0\.0\.0\.0': without TASK"):
        async with serve(host="0.0.0.0"):
            pass
    async with serve() as client:
        _, token = await tokens_of(client).create("ci", "admin", by="ann")
    async with serve(host="0.0.0.0") as client:
        assert (await client.get("/sync")).status_code == 401
        assert (await client.get("/sync", headers=with_token(token))).status_code == 200
        await tokens_of(client).revoke("ci", by="ann")

        async def is_refused() -> bool:
            answer = await client.get("/sync", headers=with_token(token))
            return answer.status_code == 401

        await within(WITHIN, is_refused)
        assert (await client.get("/sync")).status_code == 401


@pytest.mark.parametrize("token", ["tsk_", "tsk_" + "0" * 49, "tsk_\xff", "tsk_" + "x" * 5000])
async def test_what_looks_like_one_is_none(serve: Serve, token: str) -> None:
    async with serve(api_tokens=TOKENS) as client:
        given: Any = httpx.Headers(with_token(token), encoding="latin-1")
        assert (await client.get("/sync", headers=given)).status_code == 401
