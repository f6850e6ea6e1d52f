"""The API as a command calls it: JSON in and out, and what failed told to a person."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import rich_click as click

from taskservice import __version__
from taskservice.cli.escaping import for_terminal
from taskservice.domain.errors import Fault, TaskserviceError
from taskservice.domain.task_id import id_fault

if TYPE_CHECKING:
    import httpx

DEFAULT_SERVER = "http://127.0.0.1:8000"
SERVER_VARIABLE = "TASKSERVICE_SERVER"
TOKEN_VARIABLE = "TASKSERVICE_TOKEN"

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
"""How long an answer may take: a sync of ten thousand changed files has its time."""

_TOKEN = re.compile(r"[!-~]+")


class ClientError(TaskserviceError):
    """Why the service did not do what a command asked for, and what to do about it.

    Its text is a line, or several where several fields are at fault, which `faults` holds
    too; `status` is that of HTTP, None where there was no answer.
    """

    def __init__(
        self, reason: str, *, faults: Sequence[Fault] = (), status: int | None = None
    ) -> None:
        told = [str(fault) for fault in faults]
        # The service sums several faults up by the first, which then stands twice.
        lines = told if told and reason.startswith(told[0]) else [reason, *told]
        super().__init__("\n".join(map(for_terminal, lines)))
        self.faults = tuple(faults)
        self.status = status


def task_path(task_id: str, *rest: str) -> str:
    """The address of a task, or of what lies under it: `task_path(id, "logs", log_id)`.

    Raises ClientError for what can be the id of no task: its address would be another's.
    """
    if reason := id_fault(task_id):
        raise ClientError(f"no task {task_id!r}: {reason}", status=HTTPStatus.NOT_FOUND)
    if unusable := {"", ".", ".."} & set(rest):
        found = f"task {task_id!r} has no {unusable.pop()!r}"
        raise ClientError(found, status=HTTPStatus.NOT_FOUND)
    return "/".join(["/task-manage", *(quote(part, safe="") for part in (task_id, *rest))])


class Client:
    """One service, spoken to with one token; use it as a context manager.

    Parameters that are None are left out of a request. Whatever goes wrong raises ClientError.
    """

    def __init__(
        self, server: str, token: str | None, *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        # Here and not above: importing it takes longer than a command's help does.
        import ssl

        import httpx

        if reason := url_fault(server):
            raise ClientError(reason)
        self.server = server.rstrip("/")
        headers = {"Accept": "application/json", "User-Agent": f"taskservice/{__version__}"}
        if token and (token := token.strip()):
            if not _TOKEN.fullmatch(token):
                raise ClientError(f"{TOKEN_VARIABLE} holds a character that no token has")
            headers["Authorization"] = f"Bearer {token}"
        self._has_token = bool(token)
        secure = self.server.startswith("https:")
        self._http = httpx.Client(
            base_url=self.server,
            headers=headers,
            timeout=httpx.Timeout(answer_seconds, connect=min(CONNECT_SECONDS, answer_seconds)),
            # Without TLS there is nothing to verify, and reading certificates takes time.
            verify=ssl.create_default_context() if secure else False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a GET."""
        return self._json(self._send("GET", path, params))

    def text(self, path: str, **params: Any) -> str:
        """The text of a GET, whatever its type."""
        return self._send("GET", path, params, accept="*/*").text

    def post(self, path: str, body: object = None, **params: Any) -> Any:
        """The JSON of a POST, sent without a body where that is None."""
        return self._json(self._send("POST", path, params, body))

    def put(self, path: str, body: object, **params: Any) -> Any:
        """The JSON of a PUT."""
        return self._json(self._send("PUT", path, params, body))

    def delete(self, path: str, **params: Any) -> Any:
        """The JSON of a DELETE, None where the answer is empty."""
        return self._json(self._send("DELETE", path, params))

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        body: object = None,
        accept: str | None = None,
    ) -> "httpx.Response":
        import httpx

        try:
            answer = self._http.request(
                method,
                path,
                params={name: value for name, value in params.items() if value is not None},
                json=body,
                headers={"Accept": accept} if accept else None,
            )
        except httpx.ConnectError as error:
            raise ClientError(
                f"no service answers at {self.server}: start it with `taskservice run`, or name "
                f"another with --server or {SERVER_VARIABLE}{_because(error)}"
            ) from None
        except httpx.TimeoutException:
            raise ClientError(f"{self.server} did not answer in time: try again later") from None
        except httpx.HTTPError as error:
            reason = _because(error)
            raise ClientError(f"the connection to {self.server} failed{reason}") from None
        if not answer.is_success:
            raise self._refused(answer)
        return answer

    def _json(self, answer: "httpx.Response") -> Any:
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._stranger(answer) from None

    def _refused(self, answer: "httpx.Response") -> ClientError:
        """The problem that the service tells, as an error."""
        status = answer.status_code
        try:
            problem = answer.json()
            detail = str(problem["detail"])
            faults = [
                Fault(field=error["field"], reason=error["reason"])
                for error in problem.get("errors", [])
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._stranger(answer)
        if status == HTTPStatus.UNAUTHORIZED:
            hint = "give another" if self._has_token else "give one"
            detail += f": {hint} in the environment variable {TOKEN_VARIABLE}"
        elif status == HTTPStatus.FORBIDDEN and self._has_token:
            detail += f": give the token of somebody who may in {TOKEN_VARIABLE}"
        elif status == HTTPStatus.SERVICE_UNAVAILABLE:
            detail += ": try again in a moment"
        return ClientError(detail, faults=faults, status=status)

    def _stranger(self, answer: "httpx.Response") -> ClientError:
        """An answer that taskservice does not give, a proxy's page for one."""
        status = answer.status_code
        return ClientError(
            f"{self.server} does not answer as taskservice does (status {status}): is "
            f"--server or {SERVER_VARIABLE} right?",
            status=status,
        )


def _because(error: Exception) -> str:
    """The system's reason in parentheses, where it is more than a refused connection."""
    text = str(error)
    return "" if not text or "refused" in text.lower() else f" ({text})"


def url_fault(text: str) -> str | None:
    """Why this can't be the address of a service, told to a person; None: it can."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        extra = parts.query or parts.fragment or parts.username is not None
    except ValueError:
        sound = extra = False
    if sound and not extra:
        return None
    # A password in it is not repeated on the screen.
    shown = "it" if "@" in text else repr(text)
    return f"{shown} must be a URL like {DEFAULT_SERVER}, without user, query or fragment"


def server_url(context: click.Context, option: click.Parameter, text: str) -> str:
    """A click callback that checks the address of a service; raises BadParameter."""
    if reason := url_fault(text):
        raise click.BadParameter(reason, ctx=context, param=option)
    return text


def speaks_to_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--server`, and a Client as its first argument.

    Put it under the command's arguments and options. The token comes from the environment
    only: everybody on a machine can read its command lines.
    """

    @click.option(
        "--server",
        metavar="URL",
        envvar=SERVER_VARIABLE,
        default=DEFAULT_SERVER,
        callback=server_url,
        help=f"The service to speak to, or {SERVER_VARIABLE}.  [{DEFAULT_SERVER}]",
    )
    @wraps(command)
    def with_client(*arguments: Any, server: str, **options: Any) -> Any:
        with Client(server, os.environ.get(TOKEN_VARIABLE)) as client:
            return command(client, *arguments, **options)

    return with_client
