"""What the service answers for `promote`: it is believed no path, and no more than was asked."""

from collections.abc import Sequence
from typing import Any

from taskservice.cli.client import Client, ClientError
from taskservice.sync.text.reader import read_file
from taskservice.sync.text.task_files import is_task_path


def ask_promotion(
    client: Client, task_ids: Sequence[str], *, sources: Sequence[str], fields: Sequence[str]
) -> Any:
    """The answer of `POST /promotion` for these tasks and all from `sources`.

    Raises ClientError for a text of what can be no task file, or that changes other tasks.
    """
    wanted = {"task_ids": task_ids, "sources": sources, "fields": fields}
    answer = client.post("/promotion", wanted)
    files = {change["path"]: change for change in answer["files"]}
    texts = [(change["path"], change["after"]) for change in answer["files"]]
    texts += [one for made in answer["contributions"] for one in made["files"].items()]
    for path, text in texts:
        before = files[path]["before"] if path in files else ""
        # What is not there yet gets the name of its task, and no folder.
        if not is_task_path(path) or path not in files or (before is None and "/" in path):
            raise ClientError(f"the service names {path!r}, which can be no task file's path")
        expected = files[path]["task_ids"]
        if sources or set(expected) <= set(task_ids):
            was, now = _declared(path, before), _declared(path, text)
            changed = {one for one in (was | now) if was.get(one) != now.get(one)}
            if changed <= set(expected) and (text is None or now):
                continue
        raise ClientError(
            f"the service gives a file that declares something else than {', '.join(expected)}"
        )
    return answer


def _declared(path: str, text: str | None) -> dict[str, object]:
    """The tasks in a text by their ids, with their fields if they are sound."""
    if text is None:
        return {}
    content = read_file(path, text.encode())
    return {**dict.fromkeys(content.faulty), **{one.task_id: one.fields for one in content.tasks}}
