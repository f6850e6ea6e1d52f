"""Which functions tasks may call, how they are found, and whether they take their arguments.

Section 4 of the contract has the form of a `func_path`. Everything here may import a
user's modules: call it from threads; from the event loop only for what is known.
"""

import difflib
import importlib
import inspect
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import ModuleType

from taskservice import TaskMark
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_each
from taskservice.engine.modules import modules, sound

log = logging.getLogger(__name__)

FAILURE_KEPT = 2.0
"""Seconds for which a module that could not be imported is not tried again."""

MOST_NAMES = 100
"""How many sets of arguments are remembered of a function."""

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_FORM = "package.module.function or package.module:function"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInfo:
    """A function that tasks may call, as people see it in the list."""

    func_path: str
    name: str
    signature: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterInfo:
    """An argument of a function, as people see it in a form.

    `kind` is the annotation as it is written, empty without one; `default` means nothing where
    the argument is `required`. `rest` stands for any other arguments (`**kwargs`).
    """

    name: str
    kind: str
    required: bool
    default: object = None
    rest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    function: Callable[..., object]
    signature: inspect.Signature | None
    # Names of arguments that it was found to take: tasks by the thousand give the same.
    taken: set[frozenset[str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    reason: str
    until: float


class Functions:
    """The functions that the patterns allow; safe to use from several threads.

    A pattern is matched, case and all, against `package.module.function`; its `*`
    stands for any text, dots too. What is not allowed is not imported.
    """

    def __init__(
        self, patterns: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patterns = tuple(pattern.replace(":", ".") for pattern in patterns)
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], _Found] = {}
        self._failures: dict[str, _Failure] = {}

    def faults(self, func_path: str, func_args: Mapping[str, object]) -> list[Fault]:
        """Return everything that is wrong with a call: nothing, when it can be made.

        The fields are `func_path`, and `func_args.NAME` for an argument that is
        missing or not known. Arguments are looked at once the path is sound.
        """
        try:
            found = self._find(func_path)
        except Invalid as invalid:
            return list(invalid.faults)
        names = frozenset(func_args)
        if found.signature is None or names in found.taken:
            return []
        faults = _binding_faults(found.signature, func_args)
        if not faults and len(found.taken) < MOST_NAMES:
            found.taken.add(names)
        return faults

    def path_faults(self, func_path: str) -> list[Fault]:
        """Return what is wrong with a path by its form and the patterns; nothing is imported."""
        try:
            module_name, name = _split(func_path)
            self._check_allowed(f"{module_name}.{name}", f"{func_path!r} is")
        except Invalid as invalid:
            return list(invalid.faults)
        return []

    def knows(self, func_path: str) -> bool:
        """Whether the function was found before, so that no module is imported for it."""
        try:
            where = _split(func_path)
        except Invalid:
            return False
        with self._lock:
            return where in self._found

    def resolve(self, func_path: str) -> Callable[..., object]:
        """Return the function; raises Invalid when there is none or it is not allowed."""
        return self._find(func_path).function

    def parameters(self, func_path: str) -> list[ParameterInfo]:
        """Return the arguments that a function takes by name; raises Invalid without one."""
        signature = self._find(func_path).signature
        if signature is None:
            return [ParameterInfo(name="kwargs", kind="", required=False, rest=True)]
        return [
            ParameterInfo(
                name=each.name,
                kind=""
                if each.annotation is each.empty
                else inspect.formatannotation(each.annotation),
                required=each.default is each.empty and each.kind is not each.VAR_KEYWORD,
                default=None if each.default is each.empty else each.default,
                rest=each.kind is each.VAR_KEYWORD,
            )
            for each in signature.parameters.values()
            if each.kind in (*_BY_NAME, each.VAR_KEYWORD)
        ]

    def catalogue(self) -> list[FunctionInfo]:
        """Return the public functions that tasks may call, ordered by path.

        Only modules that could hold one are imported; one that fails to is left
        out with a warning. Of a pattern whose first part is not literal (`*`)
        those modules are listed that a task has already called from.
        """
        with self._lock:
            names = {module for module, _ in self._found}
        for pattern in self._patterns:
            try:
                names.update(modules(pattern))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                log.warning("functions_not_listed: %s: %s", pattern, _told(error))
        infos: list[FunctionInfo] = []
        for name in sorted(names):
            try:
                infos.extend(self._public(name, self._import(name)))
            except Invalid as invalid:
                log.warning("functions_not_listed: %s", invalid)
        return sorted(infos, key=lambda info: info.func_path)

    def _find(self, func_path: str) -> _Found:
        module_name, name = _split(func_path)
        with self._lock:
            found = self._found.get((module_name, name))
        if found is None:
            self._check_allowed(f"{module_name}.{name}", f"{func_path!r} is")
            found = self._load(module_name, name)
            with self._lock:
                self._found[module_name, name] = found
        return found

    def _load(self, module_name: str, name: str) -> _Found:
        module = self._import(module_name)
        try:
            function = getattr(module, name)
        except AttributeError:
            public = [each for each in vars(module) if not each.startswith("_")]
            hint = _nearest(name, public)
            raise _invalid(f"module {module_name!r} has no {name!r}{hint}") from None
        except Exception as error:
            raise _invalid(f"{name!r} can't be had from {module_name!r}: {_told(error)}") from error
        if not callable(function):
            raise _invalid(f"{module_name}.{name} can't be called: it is {_kind(function)}")
        if inspect.isroutine(function) or inspect.isclass(function):
            self._check_origin(module_name, name, function)
        return _Found(function=function, signature=_signature(function))

    def _check_allowed(self, path: str, subject: str) -> None:
        if not any(fnmatchcase(path, pattern) for pattern in self._patterns):
            allowed = ", ".join(self._patterns) or "nothing"
            raise _invalid(
                f"{subject} not among the functions that tasks may call; "
                f"TASKSERVICE_FUNCTIONS allows {allowed}"
            )

    def _check_origin(self, module_name: str, name: str, function: Callable[..., object]) -> None:
        """Refuse what an allowed module has only imported from one that is not allowed."""
        home = getattr(function, "__module__", None)
        if home == module_name:
            return
        origin = f"{home}.{getattr(function, '__qualname__', name)}"
        self._check_allowed(origin, f"{module_name}.{name} is really {origin}, which is")

    def _import(self, name: str) -> ModuleType:
        with self._lock:
            failure = self._failures.get(name)
        if failure is None or failure.until <= self._clock():
            try:
                if failure is not None:
                    importlib.invalidate_caches()
                return importlib.import_module(name)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                reason = f"module {name!r} can't be imported: {_told(error)}"
            failure = _Failure(reason=reason, until=self._clock() + FAILURE_KEPT)
            with self._lock:
                self._failures[name] = failure
        raise _invalid(failure.reason)

    def _public(self, module_name: str, module: ModuleType) -> Iterator[FunctionInfo]:
        for name, value in list(vars(module).items()):
            marked = isinstance(getattr(value, "task_mark", None), TaskMark)
            if name.startswith("_") or not (marked or inspect.isroutine(value)):
                continue
            path = f"{module_name}.{name}"
            allowed = any(fnmatchcase(path, pattern) for pattern in self._patterns)
            if allowed and getattr(value, "__module__", None) == module_name:
                yield _info(path, name, value)


def _split(func_path: str) -> tuple[str, str]:
    module, _, name = func_path.rpartition(":" if ":" in func_path else ".")
    segments = [*module.split("."), name]
    if not all(segment.isidentifier() for segment in segments):
        raise _invalid(f"{func_path!r} is not of the form {_FORM}")
    if not all(sound(segment) for segment in segments):
        raise _invalid(f"{func_path!r} has a part that begins with two underscores")
    return module, name


def _info(path: str, name: str, function: Callable[..., object]) -> FunctionInfo:
    mark = getattr(function, "task_mark", None) or TaskMark()
    lines = (inspect.getdoc(function) or "").strip().splitlines()
    signature = _signature(function)
    return FunctionInfo(
        func_path=path,
        name=mark.name or name,
        signature="(...)" if signature is None else str(signature),
        description=mark.description or (lines[0].strip() if lines else ""),
    )


def _signature(function: Callable[..., object]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except Exception:  # many built-in functions tell none; anything may stand in __signature__
        return None


def _binding_faults(signature: inspect.Signature, given: Mapping[str, object]) -> list[Fault]:
    try:
        signature.bind(**given)
    except TypeError:
        pass
    else:
        return []
    parameters = signature.parameters.values()
    known = {each.name for each in parameters if each.kind in _BY_NAME}
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters)
    faults: list[Fault] = []
    for each in parameters:
        needed = each.default is each.empty and each.name not in given
        if needed and each.kind in _BY_NAME:
            faults.append(_argument_fault(each.name, "the function needs this argument"))
        elif each.kind is each.POSITIONAL_ONLY and each.default is each.empty:
            reason = "the function takes this argument by position only, and a task gives names"
            faults.append(_argument_fault(each.name, reason))
    if takes_all:
        return faults
    told = {fault.field for fault in faults}
    unknown = [name for name in given if name not in known and f"func_args.{name}" not in told]
    ordered = sorted(known)

    def unknown_fault(name: str) -> Fault:
        reason = f"the function has no such argument{_nearest(name, ordered)}"
        return _argument_fault(name, reason)

    return [*faults, *of_each(unknown, unknown_fault)]


def _argument_fault(name: str, reason: str) -> Fault:
    return Fault(field=f"func_args.{name}", reason=reason)


def _nearest(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def _invalid(reason: str) -> Invalid:
    return Invalid([Fault(field="func_path", reason=reason)])


def _kind(value: object) -> str:
    return "a module" if isinstance(value, ModuleType) else f"of type {type(value).__name__}"


def _told(error: BaseException) -> str:
    """Return an exception as the last line of its traceback."""
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return lines[-1].strip()
