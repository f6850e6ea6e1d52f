"""`silence`, `unsilence` and `channels` against a real service."""

import json
from collections.abc import Mapping

import pytest

from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.web.bodies import hourly


@pytest.fixture(scope="module")
def environ() -> Mapping[str, str]:
    """Settings of the module's service: a channel where nobody listens."""
    url = "http://127.0.0.1:1/planted-secret?private=yes"
    return {"TASKSERVICE_CHANNEL_OPS": url, "TASKSERVICE_NOTIFY_SYSTEM": "ops"}


def test_a_task_is_silenced_and_not_any_more(cli: Cli, service: ServiceProcess) -> None:
    service.send("POST", "/task-manage/", 201, json=hourly(id="t", notify="ops"))
    refused = cli.run("silence", "t")
    assert refused.status == 1
    assert "reason" in refused.err
    told = cli.ok("silence", "t", "--reason", "INC-42", "--until", "2h")
    assert told.startswith("t: silenced until ") and told.endswith(": INC-42\n")
    assert "It is silenced until" in cli.ok("show", "t")
    found = service.get("/task-manage/t/silence")
    assert (found["reason"], found["set_by"]) == ("INC-42", "anonymous")
    assert cli.ok("unsilence", "t") == "t: not silenced\n"
    assert "silenced" not in cli.ok("show", "t")
    assert json.loads(cli.ok("silence", "t", "--reason", "x", "--output", "json"))["id"] == "t"
    assert json.loads(cli.ok("unsilence", "t", "--output", "json"))["notify"] == "ops"
    assert service.get("/task-manage/t/messages") == []


def test_channels_are_listed_by_name_alone_and_tried(cli: Cli, service: ServiceProcess) -> None:
    tried = cli.run("channels", "test", "ops")
    assert (tried.status, tried.out) == (1, "ops: not taken: no connection\n")
    assert json.loads(cli.run("channels", "test", "ops", "--output", "json").out) == {
        "taken": False, "answer": "no connection",
    }  # fmt: skip
    heading, row = cli.ok("channels").splitlines()
    assert heading.split() == ["CHANNEL", "KIND", "WAITING", "UNDELIVERABLE", "LAST", "ANSWER"]
    assert row.startswith("ops      webhook, system  0")
    assert row.endswith("no connection")
    [one] = json.loads(cli.ok("channels", "--output", "json"))
    assert one["last_state"] == "undeliverable"
    assert "planted" not in json.dumps(one)
    assert cli.run("channels", "test").status == 64
    assert cli.run("channels", "test", "none").status == 1
