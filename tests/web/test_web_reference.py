"""The page that shows the API to people: whole, readable, and of this host alone."""

import html
import json
import re
import subprocess
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from taskservice.settings import Settings
from taskservice.web.app import create_app
from taskservice.web.console.reference import types
from taskservice.web.console.reference.operations import groups
from tests.web.conftest import BASE, Serve
from tests.web.test_web_auth import TOKENS

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Page(HTMLParser):
    """The tags and the ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [value for _, told in self.tags if (value := told.get(name)) is not None]


def document(**settings: Any) -> dict[str, Any]:
    return create_app(Settings(**settings)).openapi_schema.to_schema()


async def test_it_shows_every_operation_and_type(client: httpx.AsyncClient) -> None:
    text = (await client.get("/schema", headers=BROWSER)).text
    page = Page(text)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    told = document()
    for path, operations in told["paths"].items():
        assert f"<code>{path}</code>" in text
        for operation in operations.values():
            assert operation["operationId"] in ids
            assert operation["summary"] in html.unescape(text)
    assert {f"type-{name}" for name in told["components"]["schemas"]} <= set(ids)
    targets = [link[1:] for link in page.all("href") if link.startswith("#")]
    assert set(targets) <= set(ids)


async def test_it_needs_no_network(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schema", headers=BROWSER)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    page = Page(answer.text)
    assert not page.all("style") and "style" not in {tag for tag, _ in page.tags}
    files = page.all("src") + [told["href"] for tag, told in page.tags if tag == "link"]
    documents = ["/schema/openapi.json", "/schema/openapi.yaml"]
    assert set(documents) <= set(page.all("href"))
    for link in [*files, *documents]:
        found = await client.get(link or "")
        assert link and link.startswith("/") and found.status_code == 200, link
        if link.endswith(".css"):
            assert "//" not in found.text and "@import" not in found.text


async def test_the_switches_of_the_console_work_here(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schema?theme=dark&lang=zh", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/schema")
    assert "theme=dark" in answer.headers["set-cookie"]


async def test_what_is_no_page_is_said_so(client: httpx.AsyncClient) -> None:
    assert (await client.get("/schema/nothing", headers=BROWSER)).status_code == 404


def arguments(command: str) -> list[str]:
    """What a shell would give to curl."""
    told = f"""curl() {{ printf '%s\\0' "$@"; }}; TASKSERVICE_TOKEN='a token'; {command}"""
    done = subprocess.run(["sh", "-ec", told], check=True, capture_output=True, text=True)
    return done.stdout.split("\0")[:-1]


def test_the_commands_are_requests_that_are_taken() -> None:
    told = document()
    shown = {one.id: one for operations in groups(told, BASE).values() for one in operations}
    ((_, command),) = shown["getTask"].commands
    assert arguments(command) == [f"{BASE}/task-manage/TASK_ID"]
    examples = dict(shown["createTask"].commands)
    body = told["paths"]["/task-manage"]["post"]["requestBody"]["content"]["application/json"]
    assert examples.keys() == body["examples"].keys()
    *request, sent = arguments(examples["cron"])
    assert request[:3] == ["-X", "POST", f"{BASE}/task-manage"]
    assert request[3:] == ["-H", "Content-Type: application/json", "-d"]
    assert json.loads(sent) == body["examples"]["cron"]["value"]


def test_the_commands_send_a_token_where_one_is_needed() -> None:
    shown = groups(document(api_tokens=TOKENS), BASE)
    commands = {one.id: one.commands[0][1] for operations in shown.values() for one in operations}
    assert arguments(commands["getTask"])[1:] == ["-H", "Authorization: Bearer a token"]
    assert len(arguments(commands["isLive"])) == 1


async def test_with_tokens_it_takes_a_viewer(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        answer = await client.get("/schema", headers=BROWSER)
        assert answer.headers["location"] == "/sign-in?next=/schema"
        headers = {**BROWSER, "Authorization": "Bearer viewer-secret"}
        assert "Create a task" in (await client.get("/schema", headers=headers)).text


def words(schema: dict[str, Any]) -> str:
    return re.sub(r"<.*?>", "", html.unescape(types.in_words(schema)))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"type": ["null", "string"], "maxLength": 9}, "string or null, at most 9 characters"),
        (
            {"type": "integer", "minimum": 1.0, "maximum": 1000000000.0},
            "whole number, 1 to 1000000000",
        ),
        ({"type": "boolean", "default": False}, "boolean, else false"),
        ({"enum": ["a", None]}, '"a" or null'),
        ({"const": "a"}, '"a"'),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Task"}}, "list of Task"),
        ({"type": "array"}, "list of any value"),
        ({"oneOf": [{"type": "null"}, {"type": "number"}]}, "number or null"),
        ({"type": "object"}, "mapping"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "mapping of string"),
        ({"type": "object", "anyOf": [{"required": ["a"]}], "properties": {}}, "object"),
        ({}, "any value"),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], said: str) -> None:
    assert words(schema) == said


def test_text_of_a_document_is_no_markup() -> None:
    assert types.prose("<b> `<i>`") == "&lt;b&gt; <code>&lt;i&gt;</code>"
    assert "<b>" not in types.in_words({"const": "<b>"}) + types.in_words({"$ref": "/<b>"})


def test_an_object_of_several_forms_has_the_fields_of_all() -> None:
    forms = [
        {"properties": {"id": {"type": "string"}, "a": {"const": 1}}, "required": ["id", "a"]},
        {"properties": {"id": {"type": "string"}, "a": {"const": 2}, "b": {}}, "required": ["id"]},
    ]
    shown = types.fields({"oneOf": forms})
    assert [(one.name, one.required) for one in shown] == [("id", True), ("a", False), ("b", False)]
    assert words({"oneOf": [{"const": 1}, {"const": 2}]}) == "1 or 2"
    inner = types.fields({"properties": {"outer": {"anyOf": forms}}})
    assert [len(form) for form in inner[0].forms] == [2, 3]
