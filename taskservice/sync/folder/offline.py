"""Task files read once, with no service and nothing remembered: to check what is to come."""

import os
from dataclasses import dataclass
from pathlib import Path

from taskservice.domain.errors import Fault
from taskservice.sync.folder.listing import list_files
from taskservice.sync.folder.parsed_file import content_of, of_the_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFiles:
    """What task files hold, by path, and the faults of files and folders that can't be read."""

    texts: dict[str, bytes]
    faults: tuple[Fault, ...]


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
            faults.append(of_the_whole(path, data))
        else:
            texts[path] = data
    return TaskFiles(texts=texts, faults=tuple(faults))


def read_file_alone(file: Path) -> TaskFiles:
    """One task file, by its name; it is read whatever that is, but no link out of its folder."""
    data = content_of(os.path.realpath(file.parent), file.name)
    if isinstance(data, str):
        return TaskFiles(texts={}, faults=(of_the_whole(file.name, data),))
    return TaskFiles(texts={file.name: data}, faults=())
