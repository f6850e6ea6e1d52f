"""The client against a real service, and against servers that are none."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import rich_click as click

from taskservice.cli.client import Client, ClientError, server_url, speaks_to_server, task_path
from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.web.bodies import hourly

TOKEN = "a-very-secret-token"


@pytest.fixture(scope="module")
def environ() -> Mapping[str, str]:
    return {"TASKSERVICE_API_TOKENS": f"ann:admin:{TOKEN},vic:viewer:token-of-vic"}


@pytest.fixture
def client(cli: Cli) -> Iterator[Client]:
    with Client(cli.server, TOKEN) as made:
        yield made


def test_every_method_speaks_to_the_service(client: Client) -> None:
    made = client.post("/task-manage/", hourly(id="任务-1"))
    path = task_path("任务-1")
    assert client.get(path) == made
    assert client.put(path, {"description": "new"}, reason="why")["description"] == "new"
    assert client.text(task_path("任务-1", "yaml")).startswith("name: ")
    assert client.get("/task-manage/", q="任务-1", status=None, retired=False)["total"] == 1
    assert client.get("/task-manage/", retired=True)["total"] == 0
    assert client.post(task_path("任务-1", "pause"))["paused"] is True
    assert client.delete(path) is None
    assert client.get("/task-manage/")["items"] == []


def test_a_time_with_a_plus_arrives_as_it_is(client: Client) -> None:
    client.post("/task-manage/", hourly(id="plus"))
    logs = client.get(task_path("plus", "logs"), since="2026-01-31T08:00:00+01:00")
    assert logs["total"] == 0
    client.delete(task_path("plus"))


def test_a_problem_tells_its_detail_and_each_fault(client: Client) -> None:
    with pytest.raises(ClientError) as caught:
        client.get(task_path("nobody"))
    assert (caught.value.status, caught.value.faults) == (404, ())
    assert "nobody" in str(caught.value)
    with pytest.raises(ClientError) as caught:
        client.post("/task-manage/", hourly(name=7, frob=1))
    error = caught.value
    assert error.status == 422
    assert {fault.field for fault in error.faults} == {"name", "frob"}
    assert str(error).splitlines() == [str(fault) for fault in error.faults]


@pytest.mark.parametrize(
    ("token", "said"),
    [(None, "give one in"), ("", "give one in"), ("wrong-but-secret", "give another in")],
)
def test_a_missing_or_wrong_token_says_where_to_give_it(
    cli: Cli, token: str | None, said: str
) -> None:
    with Client(cli.server, token) as client, pytest.raises(ClientError) as caught:
        client.get("/task-manage/")
    assert caught.value.status == 401
    assert f"{said} the environment variable TASKSERVICE_TOKEN" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_role_that_does_not_do_says_so(cli: Cli) -> None:
    with Client(cli.server, "token-of-vic") as client, pytest.raises(ClientError) as caught:
        client.post("/sync")
    assert caught.value.status == 403
    assert "vic is viewer" in str(caught.value)
    assert "TASKSERVICE_TOKEN" in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "名"])
def test_a_token_that_no_header_can_carry_is_told_and_not_shown(token: str) -> None:
    with pytest.raises(ClientError) as caught:
        Client("http://127.0.0.1:1", token)
    assert "TASKSERVICE_TOKEN" in str(caught.value)
    assert token not in str(caught.value)


def test_where_nobody_listens_it_says_how_to_start_a_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Client(server, None) as client, pytest.raises(ClientError) as caught:
        client.get("/sync")
    assert str(caught.value) == (
        f"no service answers at {server}: start it with `taskservice run`, or name another "
        "with --server or TASKSERVICE_SERVER"
    )


def test_a_host_that_is_not_known_is_told_with_the_reason() -> None:
    with Client("http://no-such-host.invalid", None) as client:
        with pytest.raises(ClientError, match=r"no service answers at .*no-such-host.* \("):
            client.get("/sync")


@contextmanager
def server(status: int, kind: str, body: bytes) -> Iterator[str]:
    """A web server that answers every GET with this, and whose address this gives."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html>It works!</html>"),
        (302, "text/html", b""),
        (404, "text/html", b"<h1>Not Found</h1>"),
        (404, "application/json", b'{"message": "no"}'),
        (404, "application/json", b"[]"),
        (502, "application/json", b'{"detail": "x", "errors": [7]}'),
    ],
)
def test_a_server_that_is_not_ours_is_told_as_such(status: int, kind: str, body: bytes) -> None:
    with server(status, kind, body) as address, Client(address, None) as client:
        with pytest.raises(ClientError) as caught:
            client.get("/sync")
    assert str(caught.value).startswith(f"{address} does not answer as taskservice does")
    assert (caught.value.status, str(status) in str(caught.value)) == (status, True)


def test_a_service_that_is_not_ready_is_to_be_asked_again() -> None:
    body = b'{"type": "about:blank", "title": "x", "status": 503, "detail": "the database is away"}'
    with server(503, "application/problem+json", body) as address:
        with Client(address, None) as client, pytest.raises(ClientError) as caught:
            client.get("/sync")
    assert str(caught.value) == "the database is away: try again in a moment"


def test_a_connection_that_breaks_and_an_answer_that_does_not_come_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(address, None, answer_seconds=0.05) as client:
            with pytest.raises(ClientError, match="did not answer in time"):
                client.get("/sync")

        def hang_up() -> None:
            for _ in range(2):  # the request above waits in the backlog, too
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with Client(address, None) as client, pytest.raises(ClientError, match="connection to"):
            client.get("/sync")
        thread.join()


def test_a_proxy_of_the_environment_is_not_asked(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with Client(client.server, TOKEN) as other:
        assert other.get("/task-manage/")["page"] == 1


@pytest.mark.parametrize("task_id", ["", ".", "..", "a/b", "a?b", "a b", "x" * 37])
def test_what_can_be_no_id_has_no_address(task_id: str) -> None:
    with pytest.raises(ClientError) as caught:
        task_path(task_id, "pause")
    assert caught.value.status == 404


def test_an_address_is_quoted_part_by_part() -> None:
    assert task_path("每日&=+", "logs", "a/b") == (
        "/task-manage/%E6%AF%8F%E6%97%A5%26%3D%2B/logs/a%2Fb"
    )
    for part in ("", "..", "."):
        with pytest.raises(ClientError):
            task_path("a", "logs", part)


@click.command()
@click.argument("path")
@speaks_to_server
def ask(client: Client, path: str) -> object:
    """Asks for something."""
    return client.server, client.get(path)["page"]


def test_a_command_takes_the_server_from_its_option_or_the_environment(
    service: ServiceProcess, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKSERVICE_TOKEN", f"{TOKEN}\n")
    asked = ask.main(["/task-manage/", "--server", f"{cli.server}/"], standalone_mode=False)
    assert asked == (cli.server, 1)
    monkeypatch.setenv("TASKSERVICE_SERVER", cli.server)
    assert ask.main(["/task-manage/"], standalone_mode=False) == (cli.server, 1)


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:8000", "ftp://host", "http://", "http:///path", "http://host:port"),
        *("http://host:99999", "http://[::1", "http://host?x=1", "http://host#x"),
        "http://user:secret@host",
    ],
)
def test_a_server_that_is_no_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        ask.main(["x", "--server", url], standalone_mode=False)
    assert "must be a URL like http://127.0.0.1:8000" in caught.value.message
    assert "secret" not in caught.value.message
    with pytest.raises(ClientError, match="must be a URL like"):
        Client(url, None)


def test_sound_urls_are_taken() -> None:
    context = click.Context(ask)
    for url in ("http://host", "https://host:8443/prefix", "http://[::1]:8000"):
        assert server_url(context, ask.params[0], url) == url
