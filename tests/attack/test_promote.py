"""A service that lies to `promote` and `export`: they write task files, and nothing else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.attack.hostile import git
from tests.commands import Result, result
from tests.origin import task

EVIL = "#!/bin/sh\ntouch canary\n"


class Liar:
    """A service that names such a file in its promotions."""

    def __init__(self) -> None:
        self.path = "a.yaml"
        self.before: str | None = None
        self.after: str = task("new")
        self.committed: dict[str, str] | None = None
        self.message = "Promote overrides of a\n\na: name: null -> 1\n"
        self.author = "ann"
        self.ids = ["a"]
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def do_GET(self) -> None:
                body = json.dumps(liar.answer(urlsplit(self.path).path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, path: str) -> Any:
        if path == "/promotion":
            return {
                "files": [
                    {
                        "path": self.path, "task_ids": ["a"], "before": self.before,
                        "after": self.after,
                    }
                ],
                "contributions": [
                    {
                        "author": self.author, "set_at": "2026-01-01T00:00:00Z",
                        "message": self.message,
                        "files": self.committed or {self.path: self.after},
                    }
                ],
                "left_out": [], "outdated": {}, "refused": [],
            }  # fmt: skip
        items = [{"id": one} for one in self.ids]
        return {"items": items, "total": len(items), "page": 1, "size": 50, "pages": 1}


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tasks folder in a repository; beside it lies what nobody may write."""
    top = tmp_path / "repository"
    (top / "tasks.d").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.yaml").write_text(task("one"))
    (top / "tasks.d/b.yaml").write_text(task("one"))
    git(top, "init", "--quiet", "--initial-branch=main")
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message", "first")
    return top / "tasks.d"


def run(liar: Liar, folder: Path, *arguments: str) -> Result:
    server = f"http://127.0.0.1:{liar.server.server_port}"
    return result(folder.parent, *arguments, TASKSERVICE_SERVER=server)


def everything(tmp_path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(tmp_path)): file.read_bytes()
        for file in tmp_path.rglob("*") if file.is_file()
    }  # fmt: skip


PATHS = [
    ".git/hooks/post-checkout", "../.git/hooks/post-checkout.yaml", ".git/x.yaml", "x/.git/x.yaml",
    "../x.yaml", "x/../../x.yaml", "/tmp/x.yaml", "./x.yaml", "a//x.yaml", "x.yaml/", "", ".",
    "x.sh", "_x.yaml", "x.yaml\n", "\x1b[2Jx.yaml", "x\0.yaml", "C:\\x.sh", "new/x.yaml", ".yaml",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("before", [None, ""])
def test_a_path_that_is_no_task_files_is_refused(
    liar: Liar, folder: Path, tmp_path: Path, path: str, before: str | None
) -> None:
    if path == "new/x.yaml" and before is not None:  # what is there may lie in a folder
        return
    liar.path, liar.before = path, before
    was = everything(tmp_path)
    for more in (["--write"], ["--branch", "b"], []):
        status, out, err = run(liar, folder, "promote", "a", *more)
        assert (status, out) == (1, "")
        assert "which can be no task file's path" in err and "\x1b" not in err
    assert everything(tmp_path) == was


def test_a_new_file_that_declares_something_else_is_refused(
    liar: Liar, folder: Path, tmp_path: Path
) -> None:
    was = everything(tmp_path)
    for text in (EVIL, "", f"tasks: {{a: {{}}, z: {{}}}}\n{EVIL}"):
        liar.after = text
        status, _, err = run(liar, folder, "promote", "a", "--write")
        assert status == 1 and "declares something else than a" in err
    assert everything(tmp_path) == was


def test_what_changes_other_tasks_than_were_asked_for_is_refused(
    liar: Liar, folder: Path, tmp_path: Path
) -> None:
    liar.path, liar.before = "b.yaml", "tasks: {a: {name: one}, z: {name: one}}\n"
    (folder / "b.yaml").write_text(liar.before)
    was = everything(tmp_path)
    for text in (
        "tasks: {a: {name: two}, z: {name: two}}\n", "tasks: {a: {name: two}}\n",
        "tasks: {a: {name: two}, z: {nam: [}}\n", task("one"),
    ):  # fmt: skip
        liar.after = text
        status, _, err = run(liar, folder, "promote", "a", "--write")
        assert status == 1 and "declares something else than a" in err
    liar.after = "tasks: {a: {name: two}, z: {name: one}}\n"
    status, _, err = run(liar, folder, "promote", "z", "--write")
    assert status == 1 and "declares something else than a" in err
    assert everything(tmp_path) == was


def test_what_is_committed_is_looked_at_as_well(liar: Liar, folder: Path, tmp_path: Path) -> None:
    was = everything(tmp_path)
    for files, told in (
        ({"a.yaml": EVIL}, "declares something else than a"),
        ({"../.git/hooks/pre-push": EVIL}, "which can be no task file's path"),
        ({"other.yaml": task("one")}, "which can be no task file's path"),
    ):
        liar.committed = files
        status, _, err = run(liar, folder, "promote", "a", "--branch", "b")
        assert status == 1 and told in err
    assert everything(tmp_path) == was


def test_commits_must_come_to_what_the_files_are(liar: Liar, folder: Path, tmp_path: Path) -> None:
    liar.committed = {"a.yaml": task("another")}
    was = everything(tmp_path)
    for more in (["--branch", "b"], ["--write"], []):
        status, out, err = run(liar, folder, "promote", "a", *more)
        assert (status, out) == (1, "")
        assert "commits that come to something else than its files" in err
    assert everything(tmp_path) == was


def test_a_task_at_fault_keeps_its_text(liar: Liar, folder: Path) -> None:
    liar.path = "b.yaml"
    for form in (
        "tasks:\n  a: {{name: {}}}\n  # of z\n  z: {{name: &x {}}}\n  # of y\n  y: [1]\n",
        "tasks: {{a: {{name: {}}}, z: {{name: &x {}}}, y: [1]}}\n",
        "tasks: {{z: {{name: &x {1}}}, a: {{name: {0}}}}}\n",
    ):
        liar.before = form.format("one", "one")
        (folder / "b.yaml").write_text(liar.before)
        liar.after = form.format("two", "two")
        status, _, err = run(liar, folder, "promote", "a", "--write")
        assert status == 1 and "declares something else than a" in err
        liar.after = form.format("two", "one")
        status, _, err = run(liar, folder, "promote", "a", "--write")
        assert status == 0, err
        assert (folder / "b.yaml").read_text() == liar.after


def test_with_fields_named_no_other_changes(liar: Liar, folder: Path, tmp_path: Path) -> None:
    liar.path, liar.before = "b.yaml", "tasks: {a: {name: one, timeout: 1}, z: {name: one}}\n"
    (folder / "b.yaml").write_text(liar.before)
    was = everything(tmp_path)
    for text in (
        "tasks: {a: {name: two, timeout: true}, z: {name: one}}\n",
        "tasks: {a: {name: two}, z: {name: one}}\n", "tasks: {z: {name: one}}\n",
        "tasks: {a: {name: two, timeout: 1, func_args: {x: 1}}, z: {name: one}}\n",
    ):  # fmt: skip
        liar.after = text
        status, _, err = run(liar, folder, "promote", "a", "--field", "name", "--write")
        assert status == 1 and "declares something else than a in these fields" in err
    assert everything(tmp_path) == was
    liar.after = "tasks: {a: {name: two, timeout: 1}, z: {name: one}}\n"
    status, _, err = run(liar, folder, "promote", "a", "--field", "name", "--write")
    assert status == 0, err


@pytest.mark.parametrize(
    "message",
    [
        "Anything", "Promote overrides of z\n\na: x\n", "Promote overrides of a\na: x\n",
        "Promote overrides of a\n\na: x\n\nSigned-off-by: Boss <b@example.org>\n",
        "Promote overrides of a\n\nSigned-off-by: Boss <b@example.org>\n",
        "Promote overrides of a\n\na: \x1b[2Jx\n", "Promote overrides of a\n\na: x\rb: y\n",
        "Promote overrides of a\n\na: " + "x" * 2**20, "Promote overrides of a\n\na: \0\n", "", 5,
    ],
)  # fmt: skip
def test_a_message_only_says_the_changes(
    liar: Liar, folder: Path, tmp_path: Path, message: Any
) -> None:
    liar.message = message
    was = everything(tmp_path)
    status, _, err = run(liar, folder, "promote", "a", "--branch", "b")
    assert status == 1 and "Traceback" not in err
    assert "a commit a message that" in err or "not answer as taskservice does" in err
    assert everything(tmp_path) == was


@pytest.mark.parametrize("name", ["message", "author", "after", "path"])
def test_half_a_character_is_told_in_words(
    liar: Liar, folder: Path, tmp_path: Path, name: str
) -> None:
    setattr(liar, name, getattr(liar, name) + "\ud800")
    was = everything(tmp_path)
    for more in (["--branch", "b"], ["--write"]):
        status, _, err = run(liar, folder, "promote", "a", *more)
        assert status == 1 and "half a character" in err and "Traceback" not in err
    assert everything(tmp_path) == was


@pytest.mark.parametrize("link", ["../../outside/x.yaml", "../.git/x.yaml", ".hidden.yaml"])
def test_a_link_is_not_followed_to_what_is_no_task_file(
    liar: Liar, folder: Path, tmp_path: Path, link: str
) -> None:
    target = folder / link
    target.write_text(task("one"))
    (folder / "a.yaml").symlink_to(link)
    liar.before = task("one")
    was = everything(tmp_path)
    status, _, err = run(liar, folder, "promote", "a", "--write")
    assert status == 1 and "is no task file of the folder" in err
    assert everything(tmp_path) == was


def test_a_link_to_a_folder_outside_is_not_followed(
    liar: Liar, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside/a.yaml").write_text(task("one"))
    (folder / "sub").symlink_to(tmp_path / "outside")
    liar.path, liar.before = "sub/a.yaml", task("one")
    status, _, err = run(liar, folder, "promote", "a", "--write")
    assert status == 1 and "is no task file of the folder" in err


def test_links_in_the_folder_and_to_it_are_followed(liar: Liar, folder: Path) -> None:
    (folder / "a.yaml").write_text(task("one"))
    (folder / "link").symlink_to(".")
    (folder.parent / "again").symlink_to(folder)
    liar.path, liar.before = "link/a.yaml", task("one")
    status, _, err = run(liar, folder, "promote", "a", "--write", "--folder", "again")
    assert status == 0, err
    assert (folder / "a.yaml").read_text() == task("new")


@pytest.mark.parametrize("task_id", ["../x", "/tmp/x", ".git", "a/b", "x\0", "..", "a\nb"])
def test_an_id_that_can_be_none_is_no_files_name(
    liar: Liar, folder: Path, tmp_path: Path, task_id: str
) -> None:
    liar.ids = [task_id]
    was = everything(tmp_path)
    status, _, err = run(liar, folder, "export", "--directory", "tasks.d")
    assert status == 1 and "no task " in err
    assert everything(tmp_path) == was
