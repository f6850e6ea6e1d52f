"""`audit` against a real service, and how it tells an event on a line."""

import json
from typing import Any

import pytest

from taskservice.cli.audit import change_text, done_by
from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.web.bodies import hourly


def test_who_did_what(cli: Cli, service: ServiceProcess) -> None:
    service.send("POST", "/task-manage/", 201, json=hourly(id="audited"))
    assert cli.ok("pause", "audited", "--reason", "INC-42")
    heading, paused, created = cli.ok("audit", "--task", "audited").splitlines()
    assert heading.split() == ["WHEN", "ACTION", "TASK", "BY", "CHANGES", "REASON"]
    assert paused.split()[-5:] == ["paused:", "false", "→", "true", "INC-42"]
    assert "created" in created and "anonymous" in created
    assert cli.ok("trigger", "audited", "--reason", "by hand")
    [_, triggered] = cli.ok("audit", "--action", "triggered", "--limit", "1").splitlines()
    assert triggered.endswith("by hand")
    found = json.loads(cli.ok("audit", "--action", "paused", "--limit", "1", "--output", "json"))
    [event] = found["items"]
    assert (event["task_id"], event["reason"]) == ("audited", "INC-42")
    nothing = cli.run("audit", "--by", "nobody", "--since", "1d")
    assert (nothing.status, nothing.out, nothing.err) == (0, "", "no event\n")


def test_a_wrong_action_is_named(cli: Cli) -> None:
    refused = cli.run("audit", "--action", "done")
    assert refused.status == 64
    assert "'done' is not one of" in refused.err


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"by": "ann", "via": "api"}, "ann"),
        ({"by": "ann", "via": "console"}, "ann, in the console"),
        (
            {"by": "file", "via": "file", "author": "Ann O", "revision": "0123456789"},
            "file, Ann O, 01234567",
        ),
    ],
)
def test_who_did_it(event: dict[str, Any], told: str) -> None:
    assert done_by({"author": None, "revision": None, **event}) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, "x", "f=x"), (None, None, "f=null"), (1, None, "f: 1 → null"),
        ("true", True, 'f: "true" → true'), ([1], {"a": 2}, 'f: [1] → {"a": 2}'),
    ],
)  # fmt: skip
def test_what_became_of_a_field(old: object, new: object, told: str) -> None:
    assert change_text({"field": "f", "old": old, "new": new}) == told
