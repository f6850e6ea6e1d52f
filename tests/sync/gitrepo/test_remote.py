"""A repository behind a password: git gets it, and nobody else sees it."""

import base64
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from taskservice.sync.gitrepo.checkout import Checkout
from tests.origin import Origin, task

PASSWORD = "s3cret/pass@word"
ENCODED = "s3cret%2Fpass%40word"


class Guarded(SimpleHTTPRequestHandler):
    """Hands out files to who knows the password; notes command lines that hold it."""

    user = "ann"
    password = PASSWORD
    seen: list[bytes]

    def do_GET(self) -> None:
        self.seen += command_lines()
        known = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.headers["Authorization"] == f"Basic {known}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


def command_lines() -> list[bytes]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes())
        except OSError:
            continue
    return found


@contextmanager
def serving(origin: Origin, **attributes: Any) -> Iterator[tuple[int, list[bytes]]]:
    """A web server of the bare repository: its port, and what it noted."""
    origin.git_in(origin.bare, "update-server-info")
    seen: list[bytes] = []
    handler = type("Handler", (Guarded,), {"seen": seen, **attributes})
    made = functools.partial(handler, directory=str(origin.bare.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "elsewhere")
    made.commit({"a.yaml": task("one")})
    return made


def checkout(tmp_path: Path, url: str) -> Checkout:
    return Checkout(tmp_path / "copy", url=url, branch="main", path="")


def test_the_password_of_the_url_opens_and_is_not_seen(origin: Origin, tmp_path: Path) -> None:
    with serving(origin) as (port, seen):
        made = checkout(tmp_path, f"http://ann:{ENCODED}@127.0.0.1:{port}/origin.git")
        assert made.pull().problem is None
        assert (made.root / "a.yaml").read_text() == task("one")
        assert any(b"git-remote-http" in line for line in seen)
    shown = [*seen, *(f.read_bytes() for f in (tmp_path / "copy").rglob("*") if f.is_file())]
    assert not any(b"s3cret" in text for text in shown)


def test_a_token_in_the_place_of_the_user(origin: Origin, tmp_path: Path) -> None:
    with serving(origin, user="t0ken", password="") as (port, _):
        assert checkout(tmp_path, f"http://t0ken@127.0.0.1:{port}/origin.git").pull().live


@pytest.mark.parametrize("user", ["ann:s3cret@", "s3cret@", ""])
def test_a_refusal_is_told_without_it(origin: Origin, tmp_path: Path, user: str) -> None:
    with serving(origin) as (port, _):
        pulled = checkout(tmp_path, f"http://{user}127.0.0.1:{port}/origin.git").pull()
    problem = str(pulled.problem)
    assert f"'http://127.0.0.1:{port}" in problem
    assert "s3cret" not in problem and len(problem.splitlines()) == 1
