"""Folders of users' modules in front of `sys.path`, where they must not hide what the service uses.

Python and the service's libraries import parts of themselves when they are first needed, long
after a start. A user's module of the same name (`queue.py`, `yaml.py`) would be taken for them.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_STRAY = frozenset(["docs", "examples", "test", "tests", "tools"])
"""What libraries install beside themselves by mistake: a user's module may be called so."""

_OUTSIDE = re.compile(r"[^A-Za-z0-9_]")
_REQUIRED = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?")
_FOR_EXTRA = re.compile(r"""\bextra == ["']([^"']*)["']""")


class _OwnFirst:
    """Finds modules of these names where they are without users' folders, if they are there."""

    def __init__(self, names: Iterable[str], path: Sequence[str]) -> None:
        self.names = frozenset(names)
        self.path = list(path)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's place; None: whoever is asked next may know."""
        if path is not None or fullname not in self.names:
            return None
        found = PathFinder.find_spec(fullname, self.path, target)
        if found is None and fullname in sys.stdlib_module_names:
            # One of another system's: who asks for it does without.
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return found


def put_in_front(folders: Iterable[str]) -> None:
    """Have modules imported from these folders before any other place, but for the service's own.

    These are Python's, and those of the libraries that the service is made of.
    """
    folders = list(folders)
    if folders:
        keep_own(own_names(), sys.path)
        sys.path[:0] = folders


def keep_own(names: Iterable[str], path: Sequence[str]) -> None:
    """Have modules of these names found on this path, whatever comes to stand before it."""
    # Behind the finders of what is built in or frozen, which no path has a part in.
    place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
    sys.meta_path.insert(place, _OwnFirst(names, path))


def kept() -> tuple[list[str], list[str]]:
    """The names that are kept in this process, and the path where they are found."""
    for finder in sys.meta_path:
        if isinstance(finder, _OwnFirst):
            return sorted(finder.names), finder.path
    return [], list(sys.path)


def own_names() -> set[str]:
    """The names of Python's own modules and of those that the service depends on."""
    names = set(sys.stdlib_module_names)
    waiting, seen = ["taskservice"], set[str]()
    while waiting:
        required = waiting.pop()
        if required in seen:
            continue
        seen.add(required)
        name, extras = _parsed(required)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            names.add(name.replace("-", "_"))  # itself, where it is run without being installed
            continue
        for line in (distribution.read_text("RECORD") or "").splitlines():
            names.add(_OUTSIDE.split(line, maxsplit=1)[0])
        for each in distribution.requires or ():
            extra = _FOR_EXTRA.search(each)
            if extra is None or extra[1] in extras:
                waiting.append(each.partition(";")[0])
    return {name for name in names if name.isidentifier()} - _STRAY


def _parsed(required: str) -> tuple[str, set[str]]:
    """The name and the extras of what a distribution requires, as PEP 508 has it."""
    found = _REQUIRED.match(required)
    name, extras = (found[1], found[2]) if found else (required, None)
    return name, {extra.strip() for extra in (extras or "").split(",")}
