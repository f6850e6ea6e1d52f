"""Which modules could hold a function that a pattern allows, found without importing them."""

import importlib.util
import pkgutil
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from importlib.machinery import FileFinder
from zipimport import zipimporter


def modules(pattern: str) -> Iterator[str]:
    """Yield the names of the modules under the pattern's literal beginning that may match.

    `reports.daily.*` looks into `reports.daily` and what is below it, and imports no
    more than `reports`. A pattern whose first part is not literal yields nothing:
    it would mean to look through everything that is installed. Raises whatever the
    import of a parent package raises.
    """
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    root = literal.rpartition(".")[0]
    if not root or not all(sound(segment) for segment in root.split(".")):
        return
    spec = importlib.util.find_spec(root)
    if spec is not None:
        yield from _walk(root, spec.submodule_search_locations, pattern)


def sound(segment: str) -> bool:
    """Tell whether a part of a path may be used: an identifier without two leading underscores."""
    return segment.isidentifier() and not segment.startswith("__")


def _walk(name: str, locations: Sequence[str] | None, pattern: str) -> Iterator[str]:
    if could_hold(name, pattern):
        yield name
    if not locations or not _could_be_below(name, pattern):
        return
    for found in pkgutil.iter_modules(list(locations), f"{name}."):
        if sound(found.name.rpartition(".")[2]):
            inside = None
            if found.ispkg and isinstance(found.module_finder, FileFinder | zipimporter):
                spec = found.module_finder.find_spec(found.name)
                inside = spec.submodule_search_locations if spec else None
            yield from _walk(found.name, inside, pattern)


def could_hold(module: str, pattern: str) -> bool:
    """Tell whether some name in `module` would match the pattern."""
    return any("." not in rest for rest in _rests(module, pattern))


def _could_be_below(package: str, pattern: str) -> bool:
    return any(True for _ in _rests(package, pattern))


def _rests(module: str, pattern: str) -> Iterator[str]:
    """Yield what of the pattern is left to match when its beginning has matched `module.`."""
    for end in range(1, len(pattern) + 1):
        head, rest = pattern[:end], pattern[end:]
        if (rest or head.endswith("*")) and fnmatchcase(f"{module}.", head):
            yield rest
