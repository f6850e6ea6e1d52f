"""Task files read once, with no service and nothing remembered: to check what is to come."""

import os
from pathlib import Path

from taskservice.domain.overlay import digest
from taskservice.sync.folder.confined import content_of
from taskservice.sync.folder.listing import list_files
from taskservice.sync.text.reader import AuthoredTask, read_file
from taskservice.sync.text.task_files import TaskFiles, unread


def read_folder(root: Path) -> TaskFiles:
    """The task files below a folder, by their paths from it, as a service would list them."""
    # A root that is a link may be swapped meanwhile: list and read the same tree.
    real = os.path.realpath(root)
    listing = list_files(real)
    texts: dict[str, bytes] = {}
    faults = list(listing.faults)
    for path, found in sorted(listing.files.items()):
        data = found if isinstance(found, str) else content_of(real, path)
        if isinstance(data, str):
            faults.append(unread(path, data))
        else:
            texts[path] = data
    return TaskFiles(texts=texts, faults=tuple(faults))


def read_file_alone(file: Path) -> TaskFiles:
    """One task file, by its name; it is read whatever that is, but no link out of its folder."""
    data = content_of(os.path.realpath(file.parent), file.name)
    if isinstance(data, str):
        return TaskFiles(texts={}, faults=(unread(file.name, data),))
    return TaskFiles(texts={file.name: data}, faults=())


def authored_in(root: Path, path: str, task_id: str, fields: object) -> AuthoredTask | None:
    """The task as the file at `path` below `root` has it; None unless it says just `fields`.

    Blocks.
    """
    data = content_of(os.path.realpath(root), path)
    tasks = () if isinstance(data, str) else read_file(path, data).tasks
    found = next((task for task in tasks if task.task_id == task_id), None)
    return found if found and digest(found.fields) == digest(fields) else None
