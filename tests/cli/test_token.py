"""`taskservice token`, which speaks to the database and to no service."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Result, result

SECRET = "s3cret"


def token(folder: Path, *arguments: str, **variables: str) -> Result:
    url = f"sqlite+aiosqlite:///{folder / 'taskservice.db'}"
    return result(folder, "token", *arguments, **{"TASKSERVICE_DATABASE_URL": url, **variables})


def listed(folder: Path) -> list[dict[str, Any]]:
    done = token(folder, "list", "--output", "json")
    assert done.status == 0, done
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_a_token_is_made_shown_once_listed_and_revoked(tmp_path: Path) -> None:
    made = token(tmp_path, "create", "ci", "--role", "operator", "--expires", "90d")
    assert made.status == 0, made
    text = made.out.strip()
    assert text.startswith("tsk_")
    assert made.err == "ci: operator. Keep it, it is not shown again:\n"
    [told] = listed(tmp_path)
    assert (told["name"], told["role"], told["last_used_at"]) == ("ci", "operator", None)
    assert told["expires_at"][:10] > told["created_at"][:10]
    shown = token(tmp_path, "list")
    assert shown.out.splitlines()[0].split()[:2] == ["NAME", "ROLE"]
    assert "operator" in shown.out
    with sqlite3.connect(tmp_path / "taskservice.db") as database:
        kept = "".join(database.iterdump())
    assert text not in shown.out + kept
    assert token(tmp_path, "revoke", "ci") == (0, "ci: revoked\n", "")
    assert listed(tmp_path) == []
    assert token(tmp_path, "revoke", "ci") == (1, "", "taskservice: there is no token 'ci'\n")


def test_one_is_narrowed_to_tags(tmp_path: Path) -> None:
    made = token(tmp_path, "create", "bob", "--role", "operator", "--tags", "billing, 日报,billing")
    assert made.err == (
        "bob: operator, for tasks with billing or 日报. Keep it, it is not shown again:\n"
    )
    assert [one["tags"] for one in listed(tmp_path)] == [["billing", "日报"]]
    assert "billing, 日报" in token(tmp_path, "list").out
    for tags, said in (("", "must be 1 to 20, not 0"), ("a,,b", "must be a word of 1 to")):
        done = token(tmp_path, "create", "eve", "--role", "admin", "--tags", tags)
        assert (done.status, done.out) == (1, "")
        assert said in done.err and done.err.count("\n") == 1
    many = ",".join(map(str, range(21)))
    assert token(tmp_path, "create", "eve", "--role", "admin", "--tags", many).status == 1
    assert len(listed(tmp_path)) == 1


def test_for_programs_it_is_json(tmp_path: Path) -> None:
    made = token(tmp_path, "create", "ann@example.org", "--role", "admin", "-o", "json")
    told = json.loads(made.out)
    assert (told["name"], told["role"], told["expires_at"]) == ("ann@example.org", "admin", None)
    assert told["token"].startswith("tsk_")
    assert made.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "ci"], "Missing option '--role'"),
        (["create", "ci", "--role", "root"], "'root' is not one of"),
        (["create", "a b", "--role", "viewer"], "a name has 1 to 64 letters"),
        (["create", "ci\x1b[2J", "--role", "viewer"], "a name has 1 to 64 letters"),
        (["create", "ci", "--role", "viewer", "--expires", "soon"], "no span of time"),
        (["create", "ci", "--role", "viewer", "--expires", "0d"], "no span of time"),
        (["create", "ci", "--role", "viewer", "--expires", "999999999d"], "longer than"),
        (["frob"], "No such command"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = token(tmp_path, *arguments)
    assert (done.status, done.out) == (64, "")
    assert said in done.err
    assert "\x1b" not in done.err


def test_a_name_that_is_taken_is_refused_in_a_line(tmp_path: Path) -> None:
    environ = {"TASKSERVICE_API_TOKENS": f"ann:admin:{SECRET}"}
    assert token(tmp_path, "create", "ci", "--role", "viewer").status == 0
    for name in ("ci", "ann", "service"):
        done = token(tmp_path, "create", name, "--role", "viewer", **environ)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("taskservice: ") and done.err.count("\n") == 1
        assert name in done.err and SECRET not in done.err


def test_a_database_that_is_away_is_told_in_a_line(tmp_path: Path) -> None:
    url = f"mysql+asyncmy://ann:{SECRET}@127.0.0.1:1/gone"
    done = token(tmp_path, "list", TASKSERVICE_DATABASE_URL=url)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("taskservice: no database at mysql+asyncmy://ann:***@127.0.0.1:1/")
    assert SECRET not in done.err and done.err.count("\n") == 1
