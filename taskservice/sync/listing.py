"""Which files below the tasks folder are task files, by section 4 of the contract."""

import errno
import os
import re
from dataclasses import dataclass, field

from taskservice.domain.errors import Fault

VANISHED = (FileNotFoundError, NotADirectoryError)
"""What is raised for a file or folder that was listed, and then was gone."""

_SUFFIXES = (".yaml", ".yml")
_PASSED_OVER = re.compile(r"[._].*|.*~|#.*#|.*\.(swp|tmp|bak)", re.DOTALL)


@dataclass(slots=True, kw_only=True)
class Listing:
    """The task files below a folder, each with its status or the reason why it has none.

    `files` are by their path from the folder. `faults` are of folders that couldn't be listed;
    `vanished` says that something went away meanwhile, `linked` that a file or folder may be
    changed by another name: there are links.
    """

    files: dict[str, os.stat_result | str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    vanished: bool = False
    linked: bool = False


def passed_over(name: str) -> bool:
    """Whether a file or folder of this name is none of ours: hidden, or an editor's leftover."""
    return _PASSED_OVER.fullmatch(name) is not None


def is_task_file(name: str) -> bool:
    """Whether a file of this name, or path, would be a task file by its ending."""
    return name.endswith(_SUFFIXES)


def is_task_path(path: str) -> bool:
    """Whether a file at this path from the tasks folder would be listed, as far as it tells."""
    parts = path.split("/")
    return (
        path.isprintable()
        and is_task_file(path)
        and "" not in parts
        and not any(map(passed_over, parts))
    )


def list_files(root: str) -> Listing:
    """Every task file below `root`; links are followed, but into no folder a second time."""
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        # Links come last: a folder that is reached in both ways keeps its own path.
        folder = folders.pop() if folders else links.pop(links.index(min(links)))
        try:
            identity = os.stat(f"{root}/{folder}")
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            with os.scandir(f"{root}/{folder}") as entries:
                for entry in entries:
                    if is_task_file(entry.name):
                        _add(listing, folder, entry)
                    elif not passed_over(entry.name) and _is_folder(entry):
                        listing.linked |= entry.is_symlink()
                        below = links if entry.is_symlink() else folders
                        below.append(f"{folder}{entry.name}/")
        except OSError as error:
            if folder and isinstance(error, VANISHED):
                listing.vanished = True
                continue
            which = "the folder" if folder else "the tasks folder"
            reason = f"{which} can't be read: {error.strerror}"
            listing.faults.append(Fault(reason=reason, path=_shown(folder.rstrip("/")) or "."))
    return listing


def _add(listing: Listing, folder: str, entry: os.DirEntry[str]) -> None:
    if passed_over(entry.name):
        return
    path = folder + entry.name
    if not path.isascii() and (shown := _shown(path)) != path:
        listing.files[shown] = "the file's name, or its folder's, is not UTF-8"
        return
    try:
        found = listing.files[path] = entry.stat()
        listing.linked |= found.st_nlink > 1 or entry.is_symlink()
    except FileNotFoundError:
        if entry.is_symlink():
            listing.files[path] = "is a link that points at nothing"
        else:
            listing.vanished = True
    except OSError as error:
        listing.files[path] = f"can't be read: {error.strerror}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            return False  # a link that can't lead anywhere
        raise


def _shown(path: str) -> str:
    """The path with what is not UTF-8 in it replaced."""
    return path.encode(errors="surrogateescape").decode(errors="replace")
