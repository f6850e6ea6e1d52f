"""Which files a module consists of, as far as they are a user's, and whether they have changed."""

import ast
import contextlib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

from taskservice.engine.user_code import is_users

LARGEST = 4 * 1024 * 1024
"""Bytes of a file that are looked at: source code is shorter."""

PARSE_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file as it was; `digest` is empty where it could not be read."""

    file: str
    modified: int
    size: int
    digest: str


def sources_of(module_name: str) -> tuple[Source, ...]:
    """The files of a module that was imported here, or half, and of what it imports in its turn.

    Of these only the user's own; of the module itself, and its package, in any case. Blocks.
    """
    top = module_name.partition(".")[0]
    found: dict[str, Source] = {}
    seen: set[str] = set()
    waiting = [*_with_parents(module_name)]
    while waiting:
        name = waiting.pop()
        file = _file_of(sys.modules.get(name))
        if name in seen or file is None:
            continue
        seen.add(name)
        if name.partition(".")[0] != top and not is_users(file):
            continue
        data = _read(file)
        found[file] = source_of(file, data)
        waiting += _imports(name, data)
    return tuple(sorted(found.values(), key=lambda source: source.file))


def source_of(file: str, data: bytes | None = None) -> Source:
    """A file as it is now; `data` is what stands in it, if that is known. Blocks."""
    data = _read(file) if data is None else data
    modified, size = _status(file)
    digest = "" if data is None else hashlib.sha256(data).hexdigest()
    return Source(file=file, modified=modified, size=size, digest=digest)


def has_changed(sources: Iterable[Source]) -> bool:
    """Whether one of these files says something else by now, or is gone. Blocks."""
    return any(
        _status(one.file) != (one.modified, one.size) and source_of(one.file).digest != one.digest
        for one in sources
    )


def file_found(module_name: str) -> str | None:
    """Where a module that was never imported should be, by its name alone; None: not in a file."""
    path = module_name.replace(".", "/")
    for folder in sys.path:
        for file in (f"{folder}/{path}/__init__.py", f"{folder}/{path}.py"):
            if os.path.isfile(file):
                return file
    return None


def syntax_tree(text: str | bytes) -> ast.Module:
    """The syntax tree of a module's text; raises what `ast.parse` does.

    Python 3.11 before 3.11.8 counts the depths of several threads that parse as one, and may take
    them for wrong (cpython#106905): then it is done again.
    """
    for _ in range(PARSE_TRIES - 1):
        with contextlib.suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


def _status(file: str) -> tuple[int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _read(file: str) -> bytes | None:
    try:
        with open(file, "rb") as opened:
            return opened.read(LARGEST)
    except OSError:
        return None


def _file_of(module: ModuleType | None) -> str | None:
    """The file that a module was read from: none of one that is built in, or in an archive."""
    file = getattr(module, "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) else None


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _imports(name: str, data: bytes | None) -> Iterator[str]:
    """The modules that a module's text names for import, as far as they are loaded."""
    try:
        tree = syntax_tree(data or b"")
    except (SyntaxError, ValueError, RecursionError):
        return
    module = sys.modules.get(name)
    package = getattr(module, "__package__", None) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            try:
                where = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            wanted = [where, *(f"{where}.{alias.name}" for alias in node.names)]
        else:
            continue
        for each in wanted:
            yield from (one for one in _with_parents(each) if one in sys.modules)
