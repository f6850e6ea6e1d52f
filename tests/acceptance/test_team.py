"""The steps of `docs/team.md`, as they stand there."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.process import wait_for
from tests.acceptance.test_gitops import Walk
from tests.test_documents import TOP

DOCUMENT = (TOP / "docs" / "team.md").read_text()


def step(name: str) -> str:
    """The commands of a step, by its mark in the document."""
    found = re.search(rf"<!-- {name} -->\n```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """A folder to take the steps in."""
    made = Walk(tmp_path)
    yield made
    made.end()


def test_three_people_with_three_roles_and_two_teams(walk: Walk) -> None:
    walk.type(step("tasks"))
    out = walk.type(step("tokens"))
    assert re.search(r"^bob +operator +billing ", out, re.MULTILINE)
    for name in ("ann", "bob", "cleo"):
        assert (walk.folder / f"{name}.token").stat().st_mode & 0o777 == 0o600
    token = (walk.folder / "ann.token").read_text().strip()
    assert token not in out
    walk.begin(step("run"))
    headers = {"Authorization": f"Bearer {token}"}

    def are_there() -> bool:
        try:
            answer = walk.http.get("/task-manage", headers=headers)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["total"] == 3

    wait_for("the tasks are there", are_there, seconds=30)

    out = walk.type(step("as") + step("sees"))
    lists = re.findall(r"^(invoices|reminders|weekly) ", out, re.MULTILINE)
    assert lists == ["invoices", "reminders", "weekly", "invoices", "reminders", "weekly"]
    assert "no task 'weekly'\nnot to be seen\n" in out

    out = walk.type(step("as") + step("may"))
    assert "simple_task says: invoices are sent" in out
    assert "reminders: paused" in out
    assert re.search(r"cleo is viewer; this needs operator.*\nnot for a viewer\n", out)
    assert re.search(r"bob is operator; this needs admin.*\nnot for an operator\n", out)
    assert re.search(r"^paused +true .* bob .* the printer is broken$", out, re.MULTILINE)

    out = walk.type(step("as") + step("did"))
    assert re.search(r"paused +reminders +bob .*the printer is broken$", out, re.MULTILINE)
    assert re.search(r"created +reminders +file ", out)
    assert re.search(r"triggered +invoices +bob ", out)
    assert re.search(r"refused +weekly +cleo .*this needs operator$", out, re.MULTILINE)
    # Cleo's own: what is of the one task that she sees.
    assert re.search(r"created +weekly +file ", out)
    assert len(re.findall(r"created +reminders ", out)) == 1

    out = walk.type(step("as") + step("leaves"))
    assert out.startswith("bob: revoked\n")
    assert "this token is not known" in out
    assert "weekly" in out
