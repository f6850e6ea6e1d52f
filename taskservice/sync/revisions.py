"""A folder of task files as a commit has it."""

from pathlib import Path

from taskservice.sync.git import run_git
from taskservice.sync.listing import is_task_file, passed_over


def files_at(folder: Path, revision: str) -> dict[str, bytes] | None:
    """The task files that a commit has below a folder of its work tree, by path from there.

    Links are left out. `revision` is any that git understands (gitrevisions(7)); None if it
    names no commit, the folder stands in no work tree, or git does not answer. Blocks.
    """
    named = f"{revision}^{{commit}}"
    commit = run_git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", named)
    if commit is None:
        return None
    listed = run_git(folder, "ls-tree", "-r", "-z", commit.decode().strip())
    if listed is None:
        return None
    blobs = {}
    for entry in listed.decode(errors="replace").split("\0")[:-1]:
        facts, _, path = entry.partition("\t")
        mode, _, blob = facts.split(" ")
        if (
            mode.startswith("100")
            and is_task_file(path)
            and not any(map(passed_over, path.split("/")))
        ):
            blobs[path] = blob
    told = run_git(folder, "cat-file", "--batch", given="\n".join(blobs.values()).encode())
    if told is None:
        return None
    files, at = {}, 0
    for path in blobs:
        # git-cat-file(1): a line with name, type and size, then as many bytes and a newline.
        begin = told.index(b"\n", at) + 1
        at = begin + int(told[at:begin].split(b" ")[2]) + 1
        files[path] = told[begin : at - 1]
    return files
