"""The operations of an OpenAPI document, as the page shows them."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from taskservice.web.console.reference.types import Field, fields, in_words, parameter, prose

METHODS = ("get", "post", "put", "delete")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an operation answers with such a status."""

    status: str
    meaning: Markup
    contents: list[tuple[str, Markup]]
    """Media type, and what is sent in it."""

    headers: list[tuple[str, Markup]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method at a path."""

    id: str
    method: str
    path: str
    summary: str
    description: Markup
    parameters: list[tuple[str, Field]]
    """Where each stands (`path`, `query` or `header`), and what it is."""

    body: list[Field]
    commands: list[tuple[str, str]]
    """The name of each example, and it as a command for a shell."""

    answers: list[Answer]


def groups(document: Mapping[str, Any], address: str) -> dict[str, list[Operation]]:
    """The operations by tag, in the document's order; `address` is that of the service."""
    found: dict[str, list[Operation]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                told = operations[method]
                needs_token = any(told.get("security", document.get("security", ())))
                operation = _operation(method, path, told, address, needs_token=needs_token)
                found.setdefault(told["tags"][0], []).append(operation)
    return found


def _operation(
    method: str, path: str, told: Mapping[str, Any], address: str, *, needs_token: bool
) -> Operation:
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = {name: one["value"] for name, one in content.get("examples", {}).items()}
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told["summary"],
        description=prose(told["description"]),
        parameters=[(one["in"], parameter(one)) for one in told.get("parameters", ())],
        body=fields(content["schema"]) if content else [],
        commands=[
            (name, _command(method, address + path, body, needs_token=needs_token))
            for name, body in (examples or {"": None}).items()
        ],
        answers=list(_answers(told["responses"])),
    )


def _answers(responses: Mapping[str, Any]) -> Iterator[Answer]:
    for status, answer in responses.items():
        yield Answer(
            status=status,
            meaning=prose(answer["description"]),
            contents=[
                (media_type, in_words(content["schema"]))
                for media_type, content in answer.get("content", {}).items()
            ],
            headers=[
                (name, prose(header.get("description") or ""))
                for name, header in answer.get("headers", {}).items()
            ],
        )


def _command(method: str, url: str, body: object, *, needs_token: bool) -> str:
    """The request as a command for a shell; what is to be filled in stands in capitals."""
    filled = re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), url)
    parts = [f"curl {'' if method == 'get' else f'-X {method.upper()} '}{shlex.quote(filled)}"]
    if needs_token:
        parts.append('-H "Authorization: Bearer $TASKSERVICE_TOKEN"')
    if body is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False, indent=2))}")
    return " \\\n  ".join(parts)
