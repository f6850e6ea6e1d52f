"""Every command, asked of a service whose every word is hostile."""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from taskservice.cli import PANELS
from tests.cli.conftest import terminal
from tests.commands import Result, result

EVIL = "\x1b]0;own\x07\x9b2J\u202e\r\n::error::forged\n##[error]x |`@all<!--[red]\x1b[8m"
TIME = "2026-11-30T12:00:00+00:00"
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
COMMAND = re.compile(r"^\s*::error::forged|##\[error", re.MULTILINE)

EXECUTION = {
    "id": EVIL, "task_id": EVIL, "status": EVIL, "attempt": 2, "folded": 0, "triggered_by": EVIL,
    "result": EVIL, "error": EVIL, "output": EVIL, "start_time": TIME, "end_time": TIME,
    "scheduled_time": TIME, "queue": EVIL, "queued_at": TIME, "worker": EVIL,
}  # fmt: skip
TASK = {
    "id": EVIL, "name": EVIL, "status": EVIL, "drift": EVIL, "source": EVIL, "overridden": [EVIL],
    "trigger_type": EVIL, "trigger_args": {EVIL: EVIL}, "next_run_time": TIME, "retired_at": TIME,
    "declared_in": {"path": EVIL, "line": 1, "revision": EVIL}, "create_time": TIME,
    "update_time": TIME,
}  # fmt: skip
OVERRIDE = {
    "task_id": EVIL, "field": EVIL, "value": EVIL, "declared": EVIL, "declared_when_set": None,
    "set_by": EVIL, "set_at": TIME, "reason": EVIL, "until": TIME, "absent": False,
    "source": "file", "origin": "api", "path": EVIL, "line": 1, "revision": EVIL, "author": EVIL,
    "date": TIME,
}  # fmt: skip
FAULT = {"path": EVIL, "line": 1, "column": 2, "task_id": EVIL, "field": EVIL, "reason": EVIL}
ENTRY = {
    "task_id": EVIL, "path": EVIL, "line": 1, "ends": [OVERRIDE], "clock_changes": [],
    "changes": [
        {"field": EVIL, "old": EVIL, "new": EVIL, "hidden": EVIL, "override": OVERRIDE},
        {
            "field": "trigger", "old": None, "hidden": None,
            "new": {"trigger_type": EVIL, "trigger_args": {EVIL: EVIL}},
        },
    ],
    "fires_old": [], "fires_new": [TIME],
    "runs_a_week": {"old": 0, "new": 1, "gained": 1, "lost": 0},
}  # fmt: skip
HELD = {"reason": EVIL, "task_ids": [EVIL]}


def page(*items: object) -> dict[str, Any]:
    return {"items": items, "total": len(items), "page": 1, "size": 50, "pages": 1}


ANSWERS: dict[str, Any] = {
    "GET /task-manage/": page(TASK),
    "GET /task-manage/t": TASK,
    "GET /task-manage/t/overrides": [OVERRIDE, OVERRIDE | {"origin": EVIL}],
    "GET /task-manage/t/fires": [TIME],
    "GET /task-manage/t/logs": page(EXECUTION),
    "GET /task-manage/t/logs/l": EXECUTION,
    "POST /promotion": {
        "files": [], "contributions": [], "outdated": {EVIL: [EVIL]},
        "left_out": [{"task_id": EVIL, "field": EVIL, "until": TIME}],
        "refused": [{"task_id": EVIL, "detail": EVIL}],
    },
    "POST /task-manage/t/trigger": EXECUTION | {"id": "l"},
    "POST /task-manage/t/logs/l/cancel": EXECUTION,
    "POST /task-manage/t/pause": TASK,
    "POST /task-manage/t/resume": TASK,
    "POST /task-manage/t/restore": TASK,
    "DELETE /task-manage/t/overrides": TASK,
    "DELETE /task-manage/t": None,
    "GET /functions": [
        {
            "func_path": EVIL, "signature": EVIL, "description": EVIL, "name": EVIL,
            "changed_on_disk": True,
        }
    ],
    "POST /plan": {
        "create": [ENTRY], "update": [ENTRY], "retire": [ENTRY], "refuse": [FAULT], "held": HELD,
        "overrides": [OVERRIDE],
    },
    "GET /sync": {
        "synced_at": TIME, "revision": EVIL, "scheduler": EVIL, "declared": 1, "held": HELD,
        "drift": {"in_sync": 1, "overridden": 0, "conflict": 0}, "errors": [FAULT],
        "retired": [{"task_id": EVIL, "path": EVIL, "retired_at": TIME, "delete_at": TIME}],
    },
}  # fmt: skip
ANSWERS["GET /workers"] = {
    "workers": [
        {
            "name": EVIL, "kind": EVIL, "host": EVIL, "state": EVIL, "queues": [EVIL],
            "concurrency": 4, "running": [], "running_count": 1, "since": TIME, "heard_at": TIME,
        }
    ],
    "queues": [{"name": EVIL, "workers": 0, "waiting": 1, "oldest": TIME}],
}  # fmt: skip
SILENCE = {"reason": EVIL, "until": TIME, "set_at": TIME, "set_by": EVIL}
ANSWERS["GET /task-manage/t/silence"] = SILENCE
ANSWERS["POST /task-manage/t/silence"] = ANSWERS["DELETE /task-manage/t/silence"] = TASK
ANSWERS["POST /channels/x/test"] = {"taken": False, "answer": EVIL}
ANSWERS["GET /channels"] = [
    {
        "name": EVIL, "kind": EVIL, "system": True, "waiting": 1, "undeliverable": 0,
        "last_tried_at": TIME, "last_state": state, "last_answer": EVIL,
    }
    for state in ("sent", EVIL)
]  # fmt: skip
ANSWERS["GET /audit"] = page(
    {
        "id": EVIL, "at": TIME, "task_id": EVIL, "action": EVIL, "by": EVIL, "via": "console",
        "reason": EVIL, "path": EVIL, "line": 1, "revision": EVIL, "author": EVIL,
        "changes": [{"field": EVIL, "old": EVIL, "new": {EVIL: [EVIL]}}],
    }
)  # fmt: skip
ANSWERS["POST /sync"] = ANSWERS["GET /sync"]

COMMANDS: dict[str, list[list[str]]] = {
    "list": [[], ["--retired"]],
    "show": [["t"]],
    "logs": [["t"], ["t", "l"]],
    "fires": [["t"]],
    "trigger": [["t"], ["t", "--wait"]],
    "cancel": [["t", "l"]],
    "pause": [["t"], ["t", "none"]],
    "resume": [["t"]],
    "delete": [["t"]],
    "functions": [[]],
    "plan": [["tasks.d"], ["tasks.d", "--format", "markdown"]],
    "sync": [[]],
    "status": [[]],
    "overrides": [["t"]],
    "revert": [["t"]],
    "restore": [["t"]],
    "promote": [["--all"]],
    "workers": [[]],
    "silence": [["t", "--reason", "x"]],
    "unsilence": [["t"]],
    "channels": [[], ["test", "x"]],
    "audit": [[], ["--task", "t"]],
}
ALONE = {
    "validate": "test_files_whose_words_are_hostile",
    "import-crontab": "test_files_whose_words_are_hostile",
    "run": "it serves", "worker": "it works", "schema": "its text is the project's own",
    "completion": "as schema",
    "token": "cli/test_token.py: what it prints is of its own, or a name without such signs",
    "export": "it prints files as they are, for programs; on a terminal as all else",
}  # fmt: skip


class Hostile(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = f"{self.command} {urlsplit(self.path).path}"
        known = asked in ANSWERS
        answer = ANSWERS[asked] if known else {
            "detail": EVIL, "errors": [{"field": EVIL, "reason": EVIL}]
        }  # fmt: skip
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(200 if known else 409)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def assert_harmless(done: Result) -> None:
    for text in (done.out, done.err):
        assert not HARMFUL.search(text), ascii(text)
        assert not COMMAND.search(text), ascii(text)


@pytest.mark.parametrize("name", [str(one.name) for panel in PANELS.values() for one in panel])
def test_a_command_prints_nothing_harmful(name: str, server: str, tmp_path: Path) -> None:
    assert (name in COMMANDS) != (name in ALONE), "a new command: say here how it is asked"
    (tmp_path / "tasks.d").mkdir()
    for arguments in COMMANDS.get(name, []):
        for more in ([], ["--output", "json"]):
            done = result(tmp_path, name, *arguments, *more, TASKSERVICE_SERVER=server)
            assert done.status in (0, 1, 2), done
            assert "Traceback" not in done.err
            assert done.out or done.err or (name, more) == ("delete", ["--output", "json"])
            assert_harmless(done)


@pytest.mark.parametrize("name", ["show", "logs", "trigger", "fires"])
def test_nor_does_a_refusal(name: str, server: str, tmp_path: Path) -> None:
    done = result(tmp_path, name, "none", TASKSERVICE_SERVER=server)
    assert done.status == 1
    assert "forged" in done.err
    assert_harmless(done)


def test_markdown_holds_no_markup_of_others(server: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.d").mkdir()
    done = result(tmp_path, "plan", "--format", "markdown", TASKSERVICE_SERVER=server)
    code = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
    outside = code.sub("", done.out)
    for mark in ("forged", "@all", "<!--", "[red]", "own"):
        assert mark in done.out
        assert mark not in outside


def test_files_whose_words_are_hostile(tmp_path: Path) -> None:
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    name = "::error::forged\x1b[2J\n::error::forged\u202e.yaml"
    (folder / name).write_text(
        'name: "\\e[2J"\n"\\e]0;x\\a\\u202e": 1\n"::error::forged": 1\nfunc_path: "a\\e.b"\n'
    )
    for form in ("text", "github", "json"):
        done = result(tmp_path, "validate", "tasks.d", "--format", form)
        assert done.status == 1
        assert not HARMFUL.search(done.out + done.err)
        lines = [line for line in done.out.splitlines() if line.lstrip().startswith("::")]
        assert all(line.startswith("::error file=") for line in lines)
        assert (form == "github") == bool(lines)
    (tmp_path / "crontab").write_text(
        "MAILTO=\x1b[2J\n\x1b[2J ::error::forged\n* * * * * \x1b[2J\n"
    )
    for more in ([], ["--write"]):
        done = result(tmp_path, "import-crontab", "crontab", *more)
        assert not HARMFUL.search(done.out + done.err)


LOGGED = """
import logging, structlog
from taskservice.cli.service_log import set_up_logging
set_up_logging()
structlog.get_logger().warning({evil!r}, value={evil!r}, more=[{evil!r}])
logging.getLogger("x").warning("%s", {evil!r})
try:
    raise ValueError({evil!r})
except ValueError:
    structlog.get_logger().exception("failed")
"""


def test_the_log_on_a_terminal_is_harmless() -> None:
    evil = EVIL.replace("\x1b[8m", "") + "\x1b]8;;x"
    status, shown = terminal([sys.executable, "-c", LOGGED.format(evil=evil)], os.environ)
    assert status == 0
    # Its own colours, and the terminal's line breaks.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")
    assert "forged" in plain
    assert not HARMFUL.search(plain), ascii(plain)
    assert not COMMAND.search(plain), ascii(plain)
