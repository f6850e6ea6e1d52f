"""A folder of task files as a commit has it."""

import os
from pathlib import Path

from taskservice.domain.errors import Fault
from taskservice.sync.gitrepo.git import GitError
from taskservice.sync.gitrepo.work_tree import Objects, find_work_tree
from taskservice.sync.text.task_files import (
    MAX_BYTES,
    TaskFiles,
    is_task_file,
    passed_over,
    too_large,
    unread,
)

SECONDS = 60.0
"""How long git may take to find out, and to read."""

TOTAL_BYTES = 256 * 1024 * 1024
"""How much all task files of a commit may hold together."""


def files_at(folder: Path, revision: str) -> TaskFiles | None:
    """The task files that a commit has below a folder of its work tree, by path from there.

    Links are left out. `revision` is any that git understands (gitrevisions(7)); None if it
    names no commit, or the folder stands in no work tree. Raises `GitError` where git does not
    answer. Blocks.
    """
    tree = find_work_tree(folder)
    if tree is None:
        return None
    with tree.objects(revision, seconds=SECONDS) as objects:
        if objects is None:
            return None
        blobs, faults = task_files(objects, tree.prefix)
        texts = read_blobs(objects, list(blobs.values()))
    return TaskFiles(
        texts={path: texts[blob] for path, blob in blobs.items()}, faults=tuple(faults)
    )


def task_files(objects: Objects, prefix: str) -> tuple[dict[str, str], list[Fault]]:
    """The objects of the task files below a folder, by path from there, and what is no sound one.

    Raises `GitError` where they hold too much to be read.
    """
    listed = objects.git(
        "ls-tree", "-r", "-l", "-z", "--full-tree", objects.commit, *([prefix] if prefix else []),
        seconds=SECONDS,
    )  # fmt: skip
    blobs: dict[str, str] = {}
    faults: list[Fault] = []
    total = 0
    for entry in listed.split(b"\0")[:-1]:
        facts, _, name = entry.partition(b"\t")
        mode, _, blob, size = facts.decode().split()
        path = name.decode(errors="replace").removeprefix(prefix)
        sound = path.encode() == name.removeprefix(os.fsencode(prefix))
        if (
            not mode.startswith("100")
            or not is_task_file(path)
            or any(map(passed_over, path.split("/")))
        ):
            continue
        if not sound:
            faults.append(unread(path, "the file's name, or its folder's, is not UTF-8"))
        elif not size.isdecimal():  # a clone without all of its objects
            faults.append(unread(path, "git does not have what the file holds"))
        elif int(size) > MAX_BYTES:
            faults.append(unread(path, too_large(int(size))))
        else:
            blobs[path] = blob
            total += int(size)
    if total > TOTAL_BYTES:
        raise GitError(f"the task files of the commit have more than {TOTAL_BYTES} bytes together")
    return blobs, faults


def read_blobs(objects: Objects, names: list[str], *, seconds: float = SECONDS) -> dict[str, bytes]:
    """What these objects hold, which are known to be no larger than can be kept, by their names.

    Raises `GitError`.
    """
    told = objects.git(
        "cat-file", "--batch", given="\n".join(names).encode(), seconds=seconds,
        limit=2 * TOTAL_BYTES,
    )  # fmt: skip
    texts, at = {}, 0
    for name in names:
        # git-cat-file(1): a line with name, type and size, then as many bytes and a newline.
        begin = told.index(b"\n", at) + 1
        *_, kind, size = told[at:begin].split()
        if kind != b"blob":
            raise GitError(f"git does not have {name}")
        at = begin + int(size) + 1
        texts[name] = told[begin : at - 1]
    return texts
