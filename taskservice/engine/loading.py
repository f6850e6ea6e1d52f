"""Finding a function in this process: what may be called, its import, and where it comes from.

Section 4 of the contract has the form of a `func_path`. What is imported here runs here: see
`importers` for a place where that does no harm.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any, cast

from taskservice.domain.check import nearest
from taskservice.domain.errors import Fault, Invalid
from taskservice.engine.modules import sound
from taskservice.engine.sources import syntax_tree
from taskservice.engine.user_code import in_one_line

MOST_SPLIT = 10_000
"""How many paths are remembered that were found to be allowed."""

_FORM = "package.module.function or package.module:function"


class Allowed:
    """The functions that tasks may call, by patterns.

    A pattern is matched, case and all, against `package.module.function`; its `*`
    stands for any text, dots too.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(pattern.replace(":", ".") for pattern in patterns)
        self._split: dict[str, tuple[str, str]] = {}

    def holds(self, path: str) -> bool:
        """Whether tasks may call what stands there."""
        return any(fnmatchcase(path, pattern) for pattern in self.patterns)

    def check(self, path: str, subject: str) -> None:
        """Raise `Invalid` where they may not; `subject` begins the reason."""
        if not self.holds(path):
            allowed = ", ".join(self.patterns) or "nothing"
            raise invalid(
                f"{subject} not among the functions that tasks may call; "
                f"TASKSERVICE_FUNCTIONS allows {allowed}"
            )

    def split(self, func_path: str) -> tuple[str, str]:
        """The module and the name in it; raises `Invalid` where the form or the pattern is no."""
        if (known := self._split.get(func_path)) is not None:
            return known
        module, _, name = func_path.rpartition(":" if ":" in func_path else ".")
        segments = [*module.split("."), name]
        if not all(segment.isidentifier() for segment in segments):
            raise invalid(f"{func_path!r} is not of the form {_FORM}")
        if not all(sound(segment) for segment in segments):
            raise invalid(f"{func_path!r} has a part that begins with two underscores")
        self.check(f"{module}.{name}", f"{func_path!r} is")
        if len(self._split) < MOST_SPLIT:
            self._split[func_path] = module, name
        return module, name


def invalid(reason: str) -> Invalid:
    """The one thing that is wrong with a `func_path`."""
    return Invalid([Fault(field="func_path", reason=reason)])


def import_module(name: str) -> ModuleType:
    """Import a module here; raises `Invalid` with the place in the user's own code."""
    try:
        if name not in sys.modules:
            importlib.invalidate_caches()  # it may have been written a moment ago
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise invalid(f"module {name!r} can't be imported: {in_one_line(error)}") from error


def function_in(
    module: ModuleType, module_name: str, name: str, allowed: Allowed
) -> Callable[..., object]:
    """The function of that name; raises `Invalid` where there is none, or it is not allowed.

    What a module only has from another one must be allowed there.
    """
    path = f"{module_name}.{name}"
    function: Any
    try:
        function = getattr(module, name)
    except AttributeError:
        public = [each for each in vars(module) if not each.startswith("_")]
        raise invalid(f"module {module_name!r} has no {name!r}{nearest(name, public)}") from None
    except Exception as error:
        raise invalid(
            f"{name!r} can't be had from {module_name!r}: {in_one_line(error)}"
        ) from error
    if not callable(function):
        raise invalid(f"{path} can't be called: it is {_kind(function)}")
    origin = _origin(module, module_name, name, function)
    if origin is not None:
        allowed.check(origin, f"{path} is really {origin}, which is")
    return cast(Callable[..., object], function)


def _origin(module: ModuleType, module_name: str, name: str, function: object) -> str | None:
    """Where a function comes from, if that is another place than this module."""
    home, qualified = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if isinstance(qualified, str):  # a function, a class, a method
        return None if home == module_name else f"{home}.{qualified}"
    # Any other object doesn't know where it was made. What the author of a module makes there,
    # of whatever it is (`job = functools.partial(os.system, …)`), is meant for tasks.
    try:
        tree = syntax_tree(_source(module, module_name))
    except (AttributeError, ImportError, SyntaxError, TypeError, ValueError):
        # Nothing tells: it counts as coming from where its kind does.
        return None if home == module_name else f"{home}.{type(function).__qualname__}"
    return _borrowed(module, name, function, list(_run_at_import(tree)), set())


def _borrowed(
    module: ModuleType, name: str, value: object, nodes: Sequence[ast.AST], seen: set[str]
) -> str | None:
    """Where a module has a name from that it imports, or that is another one's by assignment."""
    seen.add(name)
    for node in nodes:
        found = None
        if isinstance(node, ast.ImportFrom):
            found = _imported(module, name, value, node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = ast.unparse(node.value).split(".")
            if not any(isinstance(one, ast.Name) and one.id == name for one in targets):
                continue
            if not all(part.isidentifier() for part in parts):
                continue  # it is made here
            if len(parts) > 1:
                found = _attribute(module, parts)
            elif parts[0] not in seen:
                found = _borrowed(module, parts[0], value, nodes, seen)
        if found:
            return found
    return None


def _imported(module: ModuleType, name: str, value: object, node: ast.ImportFrom) -> str | None:
    package = getattr(module, "__package__", None) or ""
    where = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    for alias in node.names:
        if alias.name == "*":
            if _is_there(value, where, name, unknown=False):
                return f"{where}.{name}"
        elif (alias.asname or alias.name) == name:
            # It may have been bound anew, after that: `job = wrapped(job)`.
            if _is_there(value, where, alias.name, unknown=True):
                return f"{where}.{alias.name}"
    return None


def _is_there(value: object, where: str, name: str, *, unknown: bool) -> bool:
    """Whether a module has this very object; `unknown` where that can't be in_one_line."""
    try:
        return getattr(sys.modules[where], name) is value
    except Exception:
        return unknown


def _attribute(module: ModuleType, parts: Sequence[str]) -> str | None:
    """The attribute of another module that a dotted name in this one is."""
    owner: object = module
    for part in parts[:-1]:
        owner = getattr(owner, part, None)
    if isinstance(owner, ModuleType) and owner is not module:
        return f"{owner.__name__}.{parts[-1]}"
    return None


def _source(module: ModuleType, module_name: str) -> str:
    """The module's text; raises where there is none, as of a compiled one."""
    loader: Any = module.__loader__
    source: str = loader.get_source(module_name)
    return source


def _run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported, in its `if` and `try` too but in no function."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _kind(value: object) -> str:
    return "a module" if isinstance(value, ModuleType) else f"of type {type(value).__name__}"
