"""What is to be known of functions, as plain data: what a child process tells of a module."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from taskservice import TaskMark
from taskservice.domain.errors import Invalid
from taskservice.engine.loading import Allowed, function_in, import_module
from taskservice.engine.modules import modules
from taskservice.engine.sources import Source, file_found, source_of, sources_of
from taskservice.engine.user_code import files_of, in_one_line

LONGEST = 2_000
"""Characters that are kept of a signature, a default or a line of documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInfo:
    """A function that tasks may call, as people see it in the list.

    `changed_on_disk` says that its code is another than the one that the service runs.
    """

    func_path: str
    name: str
    signature: str
    description: str
    changed_on_disk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a function: `by` is how it is given, as `inspect.Parameter.kind` has it.

    `annotation` and `default` are as they are written, empty without one.
    """

    name: str
    by: int
    annotation: str
    required: bool
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A function; `fault` is why there is none, `parameters` is None where they aren't known."""

    fault: str | None = None
    parameters: tuple[Parameter, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a module: its functions of these `names`, and the `whole` of it if so.

    With `search` it is no module but a pattern, and asked is which modules could hold a function
    of it. `patterns` are those of the functions that tasks may call.
    """

    module: str
    names: Sequence[str] = ()
    whole: bool = True
    search: bool = False
    patterns: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a module holds; `fault` is why it can't be imported, `sources` are its files.

    `whole` is as in the question; `listed` are the functions for the list, then. `harmful` is a
    module that hung, or ended the process. `found` are the modules of a search.
    """

    fault: str | None = None
    harmful: bool = False
    whole: bool = True
    functions: Mapping[str, Description]
    listed: tuple[FunctionInfo, ...] = ()
    found: tuple[str, ...] = ()
    sources: Sequence[Source] = ()

    @classmethod
    def decoded(cls, data: Any) -> "Answer":
        """The answer again; raises KeyError, TypeError or AttributeError where it is none."""
        return cls(
            fault=data["fault"],
            whole=data["whole"],
            functions={
                name: Description(
                    fault=one["fault"],
                    parameters=None
                    if one["parameters"] is None
                    else tuple(Parameter(**each) for each in one["parameters"]),
                )
                for name, one in data["functions"].items()
            },
            listed=tuple(FunctionInfo(**each) for each in data["listed"]),
            found=tuple(data["found"]),
            sources=tuple(Source(**each) for each in data["sources"]),
        )


def refusal(fault: str, *, harmful: bool = False, sources: Sequence[Source] = ()) -> Answer:
    """The answer where a module can't be imported."""
    return Answer(fault=fault, harmful=harmful, functions={}, sources=tuple(sources))


def answer(question: Question) -> Answer:
    """Import what is asked about, here, and tell of it."""
    allowed = Allowed(question.patterns)
    if question.search:
        try:
            return Answer(functions={}, found=tuple(modules(question.module)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return refusal(in_one_line(error))
    try:
        module = import_module(question.module)
    except Invalid as invalid:
        return refusal(invalid.faults[0].reason, sources=_sources_of_failed(question, invalid))
    infos = list(_listed(question.module, module, allowed)) if question.whole else []
    names = {*question.names, *(info.func_path.rpartition(".")[2] for info in infos)}
    functions = {}
    for name in names:
        try:
            function = function_in(module, question.module, name, allowed)
        except Invalid as invalid:
            functions[name] = Description(fault=invalid.faults[0].reason)
        else:
            functions[name] = Description(parameters=_parameters(function))
    return Answer(
        whole=question.whole,
        functions=functions,
        listed=tuple(infos),
        sources=sources_of(question.module) if question.whole else (),
    )


def _sources_of_failed(question: Question, invalid: Invalid) -> list[Source]:
    """The files of a module whose import failed: to mend it, one of them is changed."""
    files = set(files_of(invalid.__cause__))
    if file := file_found(question.module):
        files.add(file)
    known = sources_of(question.module)
    files -= {source.file for source in known}
    return [*known, *map(source_of, sorted(files))]


def _parameters(function: object) -> tuple[Parameter, ...] | None:
    signature = _signature(function)
    if signature is None:
        return None
    return tuple(
        Parameter(
            name=each.name,
            by=int(each.kind),
            annotation=""
            if each.annotation is each.empty
            else _as_text(inspect.formatannotation, each.annotation),
            required=each.default is each.empty and each.kind is not each.VAR_KEYWORD,
            default="" if each.default is each.empty else _as_text(repr, each.default),
        )
        for each in signature.parameters.values()
    )


def _listed(module_name: str, module: ModuleType, allowed: Allowed) -> Iterator[FunctionInfo]:
    for name, value in list(vars(module).items()):
        marked = isinstance(getattr(value, "task_mark", None), TaskMark)
        if name.startswith("_") or not (marked or inspect.isroutine(value)):
            continue
        path = f"{module_name}.{name}"
        if allowed.holds(path) and getattr(value, "__module__", None) == module_name:
            yield _info(path, name, value)


def _info(path: str, name: str, function: object) -> FunctionInfo:
    mark = getattr(function, "task_mark", None) or TaskMark()
    lines = (inspect.getdoc(function) or "").strip().splitlines()
    signature = _signature(function)
    return FunctionInfo(
        func_path=path,
        name=str(mark.name or name)[:LONGEST],
        signature="(...)" if signature is None else _as_text(str, signature),
        description=str(mark.description or (lines[0].strip() if lines else ""))[:LONGEST],
    )


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except Exception:  # many built-in functions tell none; anything may stand in __signature__
        return None


def _as_text(how: Any, value: object) -> str:
    """A value as text, or an ellipsis where its own code fails to tell it."""
    try:
        return str(how(value))[:LONGEST]
    except Exception:
        return "..."
