"""The task files below the tasks folder."""

import errno
import heapq
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from taskservice.domain.errors import Fault
from taskservice.sync.folder.confined import LEADS_OUT, LeadsOut, located, reading
from taskservice.sync.text.task_files import as_utf8, is_task_file, passed_over

VANISHED = (FileNotFoundError, NotADirectoryError)
"""What is raised for a file or folder that was listed, and then was gone."""

MOST_ENTRIES = 100_000
"""Files and folders of any name that are looked at; beyond, the folder counts as unreadable."""

DEEPEST = 50
"""Folders in each other that are looked into."""

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Listing:
    """The task files below a folder, each with its status or the reason why it has none.

    `files` are by their path from the folder; a folder that is passed over stands among them, by
    its reason. `faults` are of folders that couldn't be listed; `vanished` says that something
    went away meanwhile, `linked` that a file or folder may be changed by another name: there are
    links. `folders` are all in which something may change that matters.
    """

    files: dict[str, os.stat_result | str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    vanished: bool = False
    linked: bool = False


def list_files(
    root: str,
    *,
    most: int = MOST_ENTRIES,
    deepest: int = DEEPEST,
    scandir: Callable[[int], AbstractContextManager[Iterable[os.DirEntry[str]]]] = os.scandir,
) -> Listing:
    """Every task file below `root`, which is absolute and without links.

    Links are followed below it, but into no folder a second time; those that lead out are not.
    """
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    left = most
    while folders or links:
        # Links come last: a folder that is reached in both ways keeps its own path.
        folder = folders.pop() if folders else heapq.heappop(links)
        try:
            if as_utf8(folder) != folder:
                # Not opened at all: that is an event, over which the watch would stumble.
                _refuse(listing, folder, "the folder's name is not UTF-8, and it is not read")
                continue
            if folder.count("/") > deepest:
                _refuse(listing, folder, f"is nested deeper than {deepest} folders: not read")
                continue
            with located(root, folder) as (handle, _), reading(handle) as descriptor:
                identity = os.fstat(descriptor)
                if (identity.st_dev, identity.st_ino) in seen:
                    continue
                seen.add((identity.st_dev, identity.st_ino))
                listing.folders.add(folder.rstrip("/"))
                with scandir(descriptor) as entries:
                    for entry in entries:
                        left -= 1
                        if left < 0:
                            reason = f"it holds more than {most:,} files and folders"
                            raise OSError(errno.EMFILE, reason)
                        if is_task_file(entry.name):
                            _add(listing, root, folder, entry)
                        elif not passed_over(entry.name) and _is_folder(root, folder, entry):
                            below = f"{folder}{entry.name}/"
                            if entry.is_symlink():
                                listing.linked = True
                                heapq.heappush(links, below)
                            else:
                                folders.append(below)
        except LeadsOut:
            _refuse(listing, folder, LEADS_OUT)
        except OSError as error:
            if folder and isinstance(error, VANISHED):
                listing.vanished = True
                continue
            which = "the folder" if folder and left >= 0 else "the tasks folder"
            place = folder if left >= 0 else ""
            reason = f"{which} can't be read: {error.strerror}"
            listing.faults.append(Fault(reason=reason, path=as_utf8(place.rstrip("/")) or "."))
            if left < 0:
                break
    return listing


def warn_of_files(folder: Path) -> None:
    """Warn of the task files in a folder whose files are not read. Blocks."""
    if files := sorted(list_files(str(folder)).files):
        log.warning(
            "files_not_read",
            folder=str(folder),
            files=files[:10],
            reason="a repository is followed: only its files are read",
        )


def _refuse(listing: Listing, folder: str, reason: str) -> None:
    listing.files[as_utf8(folder.rstrip("/"))] = reason


def _add(listing: Listing, root: str, folder: str, entry: os.DirEntry[str]) -> None:
    if passed_over(entry.name):
        return
    path = folder + entry.name
    if not path.isascii() and (shown := as_utf8(path)) != path:
        listing.files[shown] = "the file's name is not UTF-8"
        return
    try:
        if not entry.is_symlink():
            found = listing.files[path] = entry.stat(follow_symlinks=False)
            listing.linked |= found.st_nlink > 1
            return
        listing.linked = True
        with located(root, path) as (handle, real):
            listing.files[path] = os.fstat(handle)
            if as_utf8(real) == real:
                listing.folders.add(os.path.dirname(real))
    except LeadsOut:
        listing.files[path] = LEADS_OUT
    except FileNotFoundError:
        if entry.is_symlink():
            listing.files[path] = "is a link that points at nothing"
        else:
            listing.vanished = True
    except OSError as error:
        listing.files[path] = f"can't be read: {error.strerror}"


def _is_folder(root: str, folder: str, entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return entry.is_dir(follow_symlinks=False)
    path = f"{folder}{entry.name}"
    try:
        with located(root, path) as (handle, _):
            return stat.S_ISDIR(os.fstat(handle).st_mode)
    except LeadsOut:
        return os.path.isdir(f"{root}/{path}")  # to be told of; a link to a file is nothing
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            return False  # a link that can't lead anywhere
        raise
