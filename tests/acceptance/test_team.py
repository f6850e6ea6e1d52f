"""The steps of `docs/team.md`, as they stand there."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.acceptance.process import free_port, wait_for
from tests.acceptance.test_gitops import Walk
from tests.test_documents import TOP

DOCUMENT = (TOP / "docs" / "team.md").read_text()


def step(name: str) -> str:
    """The commands of a step, by its mark in the document."""
    found = re.search(rf"<!-- {name} -->\n```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None, name
    return found[1]


def on(ports: Mapping[str, str], commands: str) -> str:
    """The same with ports that are free here."""
    for written, free in ports.items():
        commands = commands.replace(written, free)
    return commands


def signed_in(walk: Walk, person: str) -> httpx.Response | None:
    """The page to which the provider leads somebody back; None while nobody answers there."""
    with httpx.Client(
        base_url=walk.http.base_url, follow_redirects=True, headers={"Accept": "text/html"}
    ) as browser:
        page = browser.get("/sign-in/begin", params={"next": "/"})
        if page.status_code == 503:
            return None
        return browser.post(page.url, data={"sub": person})


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """A folder to take the steps in."""
    made = Walk(tmp_path)
    program = Path(sys.executable).with_name("oidc-provider-mock")
    (tmp_path / "bin" / program.name).symlink_to(program)
    yield made
    made.end()
    for name in ("receiver", "provider"):
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((tmp_path / f"{name}.pid").read_text()), signal.SIGKILL)


def test_three_people_with_three_roles_and_two_teams(walk: Walk) -> None:
    ports = {"9099": str(free_port()), "9400": str(free_port())}
    walk.type(step("tasks") + step("printing"))
    out = walk.type(step("tokens"))
    assert re.search(r"^bob +operator +billing ", out, re.MULTILINE)
    for name in ("ann", "bob", "cleo"):
        assert (walk.folder / f"{name}.token").stat().st_mode & 0o777 == 0o600
    token = (walk.folder / "ann.token").read_text().strip()
    assert token not in out
    walk.begin(on(ports, step("run")).replace(":8000", f":{walk.port}"))
    walk.type(on(ports, step("receiver")))
    headers = {"Authorization": f"Bearer {token}"}

    def are_there() -> bool:
        try:
            answer = walk.http.get("/task-manage", headers=headers)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["total"] == 4

    wait_for("the tasks are there", are_there, seconds=30)

    walk.type(on(ports, step("provider")))
    people = {"ann": "admin", "bob": "operator", "cleo": "viewer", "eve": None}
    for name, role in people.items():
        page = wait_for("the provider is there", partial(signed_in, walk, f"{name}@example.org"))
        if role is None:
            assert "eve@example.org is in no group" in page.text
        else:
            assert re.search(rf"{name}@example.org.*\b{role}\b", page.text, re.DOTALL)

    out = walk.type(step("as") + step("sees"))
    lists = re.findall(r"^(invoices|printing|reminders|weekly) ", out, re.MULTILINE)
    bobs = ["invoices", "printing", "reminders"]
    assert lists == [*bobs, "weekly", *bobs, "weekly"]
    assert "no task 'weekly'\nnot to be seen\n" in out

    out = walk.type(step("as") + step("may"))
    assert "simple_task says: invoices are sent" in out
    assert "reminders: paused" in out
    assert re.search(r"cleo is viewer; this needs operator.*\nnot for a viewer\n", out)
    assert re.search(r"bob is operator; this needs admin.*\nnot for an operator\n", out)
    assert re.search(r"^paused +true .* bob .* the printer is broken$", out, re.MULTILINE)

    out = walk.type(step("as") + step("fails"))
    assert "raised: OSError: out of paper" in out and "it has failed\n" in out
    out = walk.type(step("as") + step("quiet"))
    assert "still no paper\n" in out
    assert "INC-7: no paper before the morning" in out and "INC-7: bob is at it" in out
    walk.type(step("as") + step("recovers"))
    told = (walk.folder / "told").read_text()
    assert told.count("out of paper") == 1, told

    out = walk.type(step("as") + step("morning"))
    found = re.findall(r"^20.* ago\) +(\w+) ", out, re.MULTILINE)
    assert found == [
        "triggered", "resumed", "unsilenced", "triggered", "silenced", "paused", "triggered",
        "created", "paused", "paused", "refused", "refused", "refused",
        "refused", "created",  # Cleo sees what is of the one task that she sees
    ], out  # fmt: skip
    for reason in ("paper is in", "bob is at it", "no paper before the morning"):
        assert f"INC-7: {reason}\n" in out

    out = walk.type(step("as") + step("leaves"))
    assert out.startswith("bob: revoked\n")
    assert "this token is not known" in out
    assert "weekly" in out
