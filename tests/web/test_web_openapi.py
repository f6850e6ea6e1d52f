"""The OpenAPI document says what the service does."""

import json
from typing import Any

import httpx
import pytest

from taskservice.domain.task import FIELDS
from taskservice.settings import Settings
from taskservice.web import body_schemas
from taskservice.web.app import create_app
from tests.web.bodies import hourly
from tests.web.conftest import Serve
from tests.web.test_web_auth import TOKENS

ROUTES = {
    "/task-manage": {"get", "post"},
    "/task-manage/{task_id}": {"get", "put", "delete"},
    "/task-manage/{task_id}/pause": {"post"},
    "/task-manage/{task_id}/resume": {"post"},
    "/task-manage/{task_id}/trigger": {"post"},
    "/task-manage/{task_id}/logs": {"get"},
    "/task-manage/{task_id}/logs/{log_id}": {"get"},
    "/task-manage/{task_id}/logs/{log_id}/cancel": {"post"},
    "/task-manage/{task_id}/fires": {"get"},
    "/task-manage/{task_id}/overrides": {"get", "delete"},
    "/task-manage/{task_id}/promotion": {"get"},
    "/task-manage/{task_id}/yaml": {"get"},
    "/task-manage/{task_id}/restore": {"post"},
    "/task-manage/{task_id}/silence": {"get", "post", "delete"},
    "/task-manage/{task_id}/messages": {"get"},
    "/channels": {"get"},
    "/channels/{name}/test": {"post"},
    "/overrides": {"get"},
    "/promotion": {"post"},
    "/events": {"get"},
    "/metrics": {"get"},
    "/sync": {"get", "post"},
    "/plan": {"post"},
    "/functions": {"get"},
    "/workers": {"get"},
    "/audit": {"get"},
    "/task-manage/{task_id}/events": {"get"},
    "/health/live": {"get"},
    "/health/ready": {"get"},
}


def document(**settings: Any) -> dict[str, Any]:
    """The document of a service with such settings."""
    return create_app(Settings(**settings)).openapi_schema.to_schema()


def test_it_has_every_route_with_its_errors_as_problems() -> None:
    paths = document()["paths"]
    assert {path: set(operations) for path, operations in paths.items()} == ROUTES
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"] and operation["description"] and operation["tags"]
            problems = {
                status: answer
                for status, answer in operation["responses"].items()
                if not status.startswith(("2", "3"))
            }
            assert path.startswith("/health") or {"400", "401", "403", "422", "503"} <= set(
                problems
            )
            assert all(
                set(answer["content"]) == {"application/problem+json"}
                for answer in problems.values()
            )


def test_every_body_has_examples() -> None:
    bodies = [
        operation["requestBody"]
        for operations in document()["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    assert len(bodies) >= 4
    assert all(len(body["content"]["application/json"]["examples"]) > 1 for body in bodies)


async def test_the_examples_are_taken(client: httpx.AsyncClient) -> None:
    for body in body_schemas.TASK_EXAMPLES.values():
        assert (await client.post("/task-manage/", json=body)).status_code == 201
    await client.post("/task-manage/", json=hourly(id="t", max_instances=9))
    for body in body_schemas.CHANGE_EXAMPLES.values():
        assert (await client.put("/task-manage/t", json=body)).status_code == 200
    for body in body_schemas.TRIGGER_EXAMPLES.values():
        assert (await client.post("/task-manage/t/trigger", json=body)).status_code == 202
    for body in body_schemas.PLAN_EXAMPLES.values():
        assert (await client.post("/plan", json=body)).json()["refuse"] == []
    for body in body_schemas.PROMOTION_EXAMPLES.values():
        assert (await client.post("/promotion", json=body)).status_code == 200


def test_the_bodies_have_the_fields_of_a_task() -> None:
    assert body_schemas.CHANGE["properties"].keys() == FIELDS.keys()
    for variant in body_schemas.TASK["oneOf"]:
        assert variant["properties"].keys() == {"id", *FIELDS}


def test_the_limits_are_the_domains() -> None:
    for name, schema in body_schemas.CHANGE["properties"].items():
        parse = FIELDS[name].type.parse
        if "maxLength" in schema:
            parse("x" * schema["maxLength"])
            with pytest.raises(Exception, match=r"too long|1 to 100|1 to 40"):
                parse("x" * (schema["maxLength"] + 1))
        if "minimum" in schema:
            parse(schema["minimum"])
            parse(schema["maximum"])
            with pytest.raises(Exception, match="from"):
                parse(schema["minimum"] - 1)
            with pytest.raises(Exception, match="from"):
                parse(schema["maximum"] + 1)


def test_tokens_are_asked_for_where_there_are_any() -> None:
    assert "security" not in document()
    guarded = document(api_tokens=TOKENS)
    assert guarded["security"] == [{"token": []}]
    assert guarded["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert guarded["paths"]["/health/live"]["get"]["security"] == [{}]


@pytest.mark.parametrize("path", ["/schema", "/schema/", "/schema/openapi.json"])
async def test_the_document_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    assert answer.json() == json.loads(json.dumps(document()))


async def test_a_browser_gets_a_page(client: httpx.AsyncClient) -> None:
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await client.get("/schema", headers=headers)
    assert page.headers["content-type"].startswith("text/html")
    as_yaml = await client.get("/schema/openapi.yaml")
    assert as_yaml.text.startswith("components:")


async def test_with_tokens_the_document_takes_a_viewer(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        headers = {"Authorization": "Bearer viewer-secret"}
        assert (await client.get("/schema", headers=headers)).status_code == 200
