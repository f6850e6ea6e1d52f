"""The parts that pages are made of: arguments, charts, words for times, forms."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from taskservice.domain.errors import Invalid
from taskservice.service import ParameterInfo
from taskservice.storage.history import Past
from taskservice.web.console.arguments import given_by, inputs_of
from taskservice.web.console.charts import strip
from taskservice.web.console.editing import fields_of
from taskservice.web.console.language import LANGUAGES
from taskservice.web.console.render import local
from tests.web.conftest import Serve
from tests.web.test_web_auth import TOKENS

EN, ZH = LANGUAGES["en"], LANGUAGES["zh"]
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

PARAMETERS = [
    ParameterInfo(name="text", kind="str", required=True),
    ParameterInfo(name="number", kind="int", required=False, default="3"),
    ParameterInfo(name="any", kind="", required=True),
    ParameterInfo(name="more", kind="", required=False, rest=True),
]


def test_text_is_written_as_it_is_and_anything_else_as_json() -> None:
    own = {"text": "a", "any": {"b": [1]}, "extra": "x" * 61}
    inputs = {one.key: one for one in inputs_of(PARAMETERS, own)}
    assert list(inputs) == ["text.text", "json.number", "json.any", "text.extra", "rest"]
    assert inputs["text.text"].value == "a" and not inputs["text.text"].required
    assert inputs["json.number"].hint == "int = 3, as JSON"
    assert inputs["json.any"].value == '{"b": [1]}'
    assert inputs["text.extra"].long and inputs["rest"].long
    assert [one.key for one in inputs_of(PARAMETERS[:1], {})] == ["text.text"]
    assert inputs_of(PARAMETERS[:1], {})[0].required


def test_only_other_arguments_than_the_tasks_own_are_given() -> None:
    own = {"text": "a", "one": 1, "nothing": None}
    form = {
        "text.text": "a", "json.one": "1", "json.nothing": "null", "csrf": "x", "text.new": "",
        "json.empty": " ",
    }  # fmt: skip
    assert given_by(form, own) == {}
    form = {"text.text": "", "json.one": "true", "rest": '{"other": [2]}', "json.": "3"}
    # To Python 1 and true are the same, to a function they are not.
    given = given_by(form, own)
    assert given == {"text": "", "one": True, "other": [2]}
    assert given["one"] is True


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"json.a": "{"}, "func_args.a"),
        ({"json.a": "[" * 5000}, "func_args.a"),
        ({"rest": "{"}, "func_args.rest"),
        ({"rest": "[1]"}, "func_args"),
    ],
)
def test_what_is_no_json_is_told(form: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        given_by(form, {})
    assert [fault.field for fault in caught.value.faults] == [field]


def past(number: int, seconds: float | None, status: str) -> Past:
    start = NOW - timedelta(minutes=100 - number)
    end = None if seconds is None else start + timedelta(seconds=seconds)
    return Past(str(number), "t", status, start, end)


def drawn(executions: list[Past], **more: Any) -> Any:
    return strip(executions, language=EN, zone=UTC, now=NOW, **more)


def test_a_bar_is_as_high_as_its_execution_took_long() -> None:
    found = drawn([past(0, 5, "completed"), past(1, 10, "completed"), past(2, 0, "cancelled")])
    low, high, none = found.bars
    assert none.height < low.height < high.height < found.height
    assert [one.y + one.height for one in found.bars] == [found.line] * 3
    assert low.x < high.x < none.x < found.width
    assert low.title == "completed · 2030-01-02 01:24:05 · 5 s"


def test_outcomes_differ_in_shape_too() -> None:
    found = drawn([past(0, 5, "failed"), past(1, 5, "skipped"), past(2, None, "running")])
    failed, skipped, running = found.bars
    assert failed.y + failed.height > found.line
    assert skipped.height < failed.height
    assert skipped.title == "skipped · 2030-01-02 01:25:05"
    assert running.title.endswith("1 h 38 min")
    assert found.label == "last executions: 1 failed, 1 running, 1 skipped"


def test_of_many_executions_the_last_are_drawn() -> None:
    found = drawn([past(number, 1, "completed") for number in range(30)], places=10)
    assert [one.id for one in found.bars] == [str(number) for number in range(20, 30)]
    assert found.bars[0].x >= 0
    assert drawn([]).label == "no executions yet"


def test_spans_have_as_much_precision_as_one_wants() -> None:
    for seconds, told in (
        (0, "0 ms"), (-1, "0 ms"), (0.0124, "12 ms"), (1, "1 s"), (59.94, "59.9 s"),
        (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (3700, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ):  # fmt: skip
        assert EN.duration(seconds) == told


def test_how_far_a_time_is_away() -> None:
    assert EN.ago(NOW + timedelta(seconds=5), NOW) == "in 5 sec"
    assert EN.ago(NOW - timedelta(hours=3), NOW) == "3 hr ago"
    assert ZH.ago(NOW + timedelta(minutes=5), NOW) == "5分钟后"
    assert EN.number(12345) == ZH.number(12345) == "12,345"
    assert (EN.weekday(NOW, UTC), ZH.weekday(NOW, UTC)) == ("Wed", "周三")


def test_a_path_leads_to_this_site_only() -> None:
    for given, leads in (
        ("/tasks/a", "/tasks/a"), ("/?q=a%26b&c=d", "/?q=a%26b&c=d"), ("/任", "/%E4%BB%BB"),
        (None, "/"), ("", "/"), ("tasks", "/"), ("//evil", "/"), ("/\\evil", "/"),
        ("https://evil", "/"), ("/\r\nSet-Cookie: a=b", "/"), ("/a\x00", "/"),
    ):  # fmt: skip
        assert local(given) == leads


def test_a_form_gives_only_the_fields_that_it_has() -> None:
    assert fields_of({"csrf": "x", "name": "a"}) == {"name": "a"}
    assert fields_of({"fields": "all", "recover": "on"}) == {"coalesce": False, "recover": True}
    assert fields_of({"max_instances": "", "func_args": "", "retries": " ", "timeout": ""}) == {
        "max_instances": 1, "func_args": {}, "retries": None, "timeout": None,
    }  # fmt: skip
    with pytest.raises(Invalid) as caught:
        fields_of({"retries": "[" * 5000, "timeout": "x", "func_args": "é{"})
    assert [fault.field for fault in caught.value.faults] == ["func_args", "retries", "timeout"]


@pytest.mark.parametrize("body", [b"\xff", b"a=b&" * 6000])
async def test_a_form_that_can_not_be_read_is_malformed(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post("/bulk/pause", content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_sign_in_is_short(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        assert (await client.post("/sign-in", content=b"\xff")).status_code == 400
        assert (await client.post("/sign-in", content=b"a=b&" * 6000)).status_code == 413


async def test_numbers_of_a_form_may_be_anything(client: httpx.AsyncClient) -> None:
    body = {"timeout": "1e999", "max_instances": "inf"}
    answer = await client.post("/tasks/nope/preview", data=body)
    assert answer.status_code == 404
