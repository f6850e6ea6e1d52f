"""Who made the last commits of the files below a folder."""

from collections.abc import Mapping

from taskservice.domain.plan import DeclaredTask, Plan, StoredDeclaration
from taskservice.domain.trail import Author
from taskservice.sync.gitrepo.git import GitError
from taskservice.sync.gitrepo.head import Head
from taskservice.sync.gitrepo.work_tree import WorkTree

MOST_COMMITS = 200
"""How many commits are looked through, the last ones that changed something in the folder."""

# What anybody wrote there may be of any length; git cuts it, and fills up with spaces.
_MARK = "\x01"
_FORMAT = "%x01%H%x00%<(200,trunc)%an"


class Authors:
    """Remembers who made the last commit of each file, by its path from the folder, at one HEAD."""

    def __init__(self) -> None:
        self._known: dict[str, Author] = {}
        self._commit: str | None = None

    def of(
        self,
        plan: Plan,
        candidates: Mapping[str, DeclaredTask],
        stored: Mapping[str, StoredDeclaration],
        head: Head | None,
    ) -> dict[str, Author]:
        """By task, who made the commit that the plan comes from, as far as it comes from one.

        Only the last commits are looked through, of each commit at HEAD once. Blocks for up to 15
        seconds.
        """
        if head is None or head.tree is None or plan.empty:
            return {}
        if head.commit != self._commit:
            self._look(head, head.tree)
            self._commit = head.commit
        said = {task_id: candidates[task_id].declaration for task_id in plan.write}
        places = {task_id: one.path for task_id, one in said.items() if one.revision}
        committed = {
            one.declaration.path for one in candidates.values() if one.declaration.revision
        }
        for task_id in plan.retire:
            path = stored[task_id].path or ""
            # Else it was taken out of the folder, and stands in the commit still.
            if path in committed or not head.has_file(path):
                places[task_id] = path
        known = self._known
        return {task_id: known[path] for task_id, path in places.items() if path in known}

    def _look(self, head: Head, tree: WorkTree) -> None:
        self._known = {}
        try:
            with tree.objects(head.commit) as objects:
                if objects is None:
                    return
                told = objects.git(
                    "log", f"--max-count={MOST_COMMITS}", "-z", f"--format={_FORMAT}",
                    "--name-only", "--no-renames", objects.commit,
                    "--", *([tree.prefix] if tree.prefix else []),
                )  # fmt: skip
        except GitError:
            return
        self._known = _read(told.decode(errors="replace"), tree.prefix)


def _read(told: str, prefix: str) -> dict[str, Author]:
    """By path, who made the newest of the commits that `git log` tells of."""
    found: dict[str, Author] = {}
    author: Author | None = None
    revision = None
    for part in told.split("\0"):
        if part.startswith(_MARK):
            revision = part.removeprefix(_MARK)
        elif revision:
            author, revision = Author(revision, part.rstrip(" ")), None
        elif author and (path := part.lstrip("\n")).startswith(prefix):
            found.setdefault(path.removeprefix(prefix), author)
    return found
