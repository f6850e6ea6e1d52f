"""What the service answers for `promote`: it is believed no path, and no more than was asked."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from taskservice.cli.client import Client, ClientError
from taskservice.domain.check import has_controls
from taskservice.domain.overlay import DELETED, flatten
from taskservice.sync.text.promotion import as_text, faulty_texts
from taskservice.sync.text.reader import read_file
from taskservice.sync.text.task_files import is_task_path

LONGEST_MESSAGE = 1024 * 1024
LONGEST_AUTHOR = 200


def ask_promotion(
    client: Client, task_ids: Sequence[str], *, sources: Sequence[str], fields: Sequence[str]
) -> Any:
    """The answer of `POST /promotion` for these tasks and all from `sources`.

    Raises ClientError for a text of what can be no task file, or that changes other tasks or
    fields, and for commits that come to something else, or whose messages do not only say it.
    """
    wanted = {"task_ids": task_ids, "sources": sources, "fields": fields}
    if not _is_unicode(wanted):
        raise ClientError("there is no task or field of such a name: it is not UTF-8")
    answer = client.post("/promotion", wanted)
    if not _is_unicode(answer):
        raise ClientError("the service gives a text with half a character in it")
    try:
        _check(answer, None if sources else task_ids, fields)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ClientError("the service does not answer as taskservice does") from None
    return answer


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(answer: Any, task_ids: Collection[str] | None, fields: Collection[str]) -> None:
    files = {change["path"]: change for change in answer["files"]}
    texts = [(change["path"], change["after"]) for change in answer["files"]]
    committed: dict[str, str | None] = {}
    for made in answer["contributions"]:
        texts += made["files"].items()
        committed |= made["files"]
    changed: set[str] = set()
    for path, text in texts:
        before = files[path]["before"] if path in files else ""
        # What is not there yet gets the name of its task, and no folder.
        if not is_task_path(path) or path not in files or (before is None and "/" in path):
            raise ClientError(f"the service names {path!r}, which can be no task file's path")
        expected = files[path]["task_ids"]
        was, now = _declared(path, before), _declared(path, text)
        different = {one for one in (was | now) if was.get(one) != now.get(one)}
        if (
            (task_ids is not None and not set(expected) <= set(task_ids))
            or not different <= set(expected)
            or not (text is None or now)
            or (fields and not all(_fields(was, now, one) <= {*fields} for one in different))
        ):
            raise ClientError(
                "the service gives a file that declares something else than "
                f"{', '.join(expected)}{' in these fields' if fields else ''}"
            )
        changed |= different
    if committed != {path: change["after"] for path, change in files.items()}:
        raise ClientError("the service gives commits that come to something else than its files")
    for made in answer["contributions"]:
        _check_commit(made["author"], made["message"], changed)
        datetime.fromisoformat(made["set_at"])


def _declared(path: str, text: str | None) -> dict[str, Mapping[str, str] | str]:
    """The tasks in a text by their ids: their fields, or their very text if they are at fault."""
    if text is None:
        return {}
    data = text.encode()
    content = read_file(path, data)
    return {
        **(faulty_texts(data, content.faulty) if content.faulty else {}),
        **{
            one.task_id: {name: as_text(value) for name, value in flatten(one.fields).items()}
            for one in content.tasks
        },
    }


def _fields(
    before: Mapping[str, Mapping[str, str] | str],
    after: Mapping[str, Mapping[str, str] | str],
    task_id: str,
) -> set[str]:
    """The fields of a task that are others, as `overrides` names them; none of a new one."""
    was, now = before.get(task_id), after.get(task_id)
    if was is None:
        return set()
    if now is None:
        return {DELETED}
    if isinstance(was, str) or isinstance(now, str):
        return {""}
    return {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}


def _check_commit(author: str, message: str, task_ids: Collection[str]) -> None:
    """Raise ClientError for what git, or who reads its log, would take for something else."""
    subject, *lines = message.removesuffix("\n").split("\n")
    what = subject.removeprefix("Promote overrides of ")
    begins = ("  ", *(f"{task_id}: " for task_id in task_ids))
    if (
        len(message) > LONGEST_MESSAGE
        or len(author) > LONGEST_AUTHOR
        or has_controls("".join([author, *lines]))
        or (what not in task_ids and not what.removesuffix(" tasks").isdecimal())
        or what == subject
        or lines[:1] != [""]
        or not all(line.startswith(begins) for line in lines[1:])
    ):
        raise ClientError("the service gives a commit a message that does not only say its changes")
