"""Which files are task files, by section 4 of the contract, and their texts by path."""

import re
from dataclasses import dataclass

from taskservice.domain.errors import Fault

MAX_BYTES = 1024 * 1024

_SUFFIXES = (".yaml", ".yml")
_PASSED_OVER = re.compile(r"[._].*|.*~|#.*#|.*\.(swp|tmp|bak)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFiles:
    """What task files hold, by path, and the faults of files and folders that can't be read."""

    texts: dict[str, bytes]
    faults: tuple[Fault, ...]


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


def as_utf8(path: str) -> str:
    """The path with what is not UTF-8 in it replaced."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def too_large(size: int) -> str:
    """Why a file of so many bytes is not read."""
    return f"the file has {size} bytes; at most 1 MiB ({MAX_BYTES}) is taken"


def unread(path: str, reason: str) -> Fault:
    """The fault of a file that is not read at all: it stands at the file's beginning."""
    return Fault(reason=reason, path=path, line=1, column=1)
