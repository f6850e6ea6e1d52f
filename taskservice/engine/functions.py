"""Which functions tasks may call, what they take, and how they are had.

Section 4 of the contract has the form of a `func_path`. Users' modules are imported in child
processes first, see `importers`; into this process only where a function is to run in it.
"""

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from taskservice.domain.check import nearest
from taskservice.domain.errors import Fault, Invalid, Pending, is_pending
from taskservice.domain.fault_limits import of_each
from taskservice.engine.descriptions import (
    Answer,
    Description,
    FunctionInfo,
    Parameter,
    Question,
    answer,
)
from taskservice.engine.importers import IMPORT_SECONDS, Importers
from taskservice.engine.loading import Allowed, function_in, import_module, invalid
from taskservice.engine.sources import Source, has_changed, sources_of

__all__ = ["FunctionInfo", "Functions", "ParameterInfo"]

log = logging.getLogger(__name__)

FAILURE_KEPT = 2.0
"""Seconds for which a module that could not be imported is not tried again."""

MOST_KNOWN = 1_000
"""How many modules are remembered, those that can't be imported among them."""

HARMFUL_KEPT = 300.0
"""The same for one that hung, or ended the process, unless its file changes before."""

COMPARED_SECONDS = 0.2
"""How old the knowledge may be that a module's files are what they were."""

SEVERAL = 2
"""From how many modules on that hang already nobody waits for a further one."""

MOST_LOADING = 8
"""How many modules are being imported into this process at most: as many threads may hang."""

LISTING_SECONDS = 10.0
"""How long the list of functions waits for modules: those that take longer are left out."""

LISTED_APART_SECONDS = 1.0
"""How long it waits for one before it has the next one imported beside it."""

MOST_NAMES = 100
"""How many sets of arguments are remembered of a function."""

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_REST = inspect.Parameter.VAR_KEYWORD
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, _REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterInfo:
    """An argument of a function, as people see it in a form.

    `kind` is the annotation as it is written, empty without one; so is `default`, which means
    nothing where the argument is `required`. `rest` stands for any other arguments (`**kwargs`).
    """

    name: str
    kind: str
    required: bool
    default: str = ""
    rest: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class _Known:
    """What a module was found to hold; good `until` then, or as long as its files are the same.

    `stale` once they are not.
    """

    answer: Answer
    functions: dict[str, Description]
    until: float | None
    compared: float
    stale: bool = False
    # Names of arguments that a function was found to take: tasks by the thousand give the same.
    taken: dict[str, set[frozenset[str]]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True, eq=False)
class _Asked:
    """A module that a child imports at present; `done` once it is known what it holds.

    `put_off` says that somebody was told that it is pending.
    """

    since: float
    put_off: bool = False
    done: Future[None] = field(default_factory=Future)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Loading:
    """A function that is being had in this process, its module imported if need be."""

    func_path: str
    since: float
    done: Future[Callable[..., object]] = field(default_factory=Future)


@dataclass(slots=True, kw_only=True, eq=False)
class _Loaded:
    """A module that was imported into this process: its files as they were, and whether they are.

    `compared` is when that was looked at last.
    """

    sources: tuple[Source, ...]
    compared: float
    changed: bool = False


_Key = tuple[bool, str]
"""Whether it is a pattern whose modules are searched for, and the pattern or the module."""


class Functions:
    """The functions that the patterns allow; safe to use from several threads.

    What is not allowed is not imported. `importers` are the children that import modules; `clock`
    gives seconds; `load_limit` is how many an import into this process may take. `most_known` is
    how many modules are remembered; of more, those that can't be imported are forgotten.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        importers: Importers | None = None,
        clock: Callable[[], float] = time.monotonic,
        load_limit: float = IMPORT_SECONDS,
        most_known: int = MOST_KNOWN,
    ) -> None:
        self._allowed = Allowed(patterns)
        self._importers = importers or Importers()
        self._clock = clock
        self._load_limit = load_limit
        self._most_known = most_known
        self._lock = threading.Lock()
        self._known: dict[_Key, _Known] = {}
        self._asked: dict[_Key, _Asked] = {}
        self._loading: dict[str, _Loading] = {}
        self._loaded: dict[str, Callable[..., object]] = {}
        self._modules: dict[str, _Loaded] = {}
        self._files: dict[str, Source] = {}
        self._answered: Callable[[], None] = lambda: None

    def path_faults(self, func_path: str) -> list[Fault]:
        """Return what is wrong with a path by its form and the patterns; nothing is imported."""
        try:
            self._allowed.split(func_path)
        except Invalid as invalid:
            return list(invalid.faults)
        return []

    def faults(
        self, func_path: str, func_args: Mapping[str, object], *, patience: float | None = None
    ) -> list[Fault]:
        """Return everything that is wrong with a call: nothing, when it can be made.

        The fields are `func_path`, and `func_args.NAME` for an argument that is
        missing or not known. Arguments are looked at once the path is sound.

        This waits until a child has imported the module, if need be, or for the seconds of
        `patience`, which count from when that began: then the fault is `Pending`, and `on_answer`
        tells when there is more to know. With no patience, 0, no file is looked at either.
        """
        try:
            known, name = self._find(func_path, patience)
            description = _sound(known, name)
        except Invalid as invalid:
            return list(invalid.faults)
        names, taken = frozenset(func_args), known.taken.setdefault(name, set())
        if description.parameters is None or names in taken:
            return []
        faults = _binding_faults(_signature(description.parameters), func_args)
        if not faults and len(taken) < MOST_NAMES:
            taken.add(names)
        return faults

    def on_answer(self, call: Callable[[], None]) -> None:
        """Have this called, on any thread, when it is known what was `Pending` before."""
        self._answered = call

    def knows(self, func_path: str) -> bool:
        """Whether it is known, at this moment, what is wrong with a call."""
        try:
            module, name = self._allowed.split(func_path)
        except Invalid:
            return True
        return self._found((False, module), name) is not None

    async def ready(self, func_path: str, *, patience: float | None = None) -> None:
        """Wait until a function is known, if `patience` allows; see `faults`."""
        try:
            module, name = self._allowed.split(func_path)
        except Invalid:
            return
        key = (False, module)
        if self._may_have_changed(key):
            await asyncio.to_thread(self._compare, key)
        while self._found(key, name) is None:
            asked = self._ask(key, name)
            seconds = self._seconds_left(asked, patience)
            if seconds == 0 and not asked.done.done():
                return
            await _wait_for(asked.done, seconds)

    async def parameters(
        self, func_path: str, *, patience: float = LISTING_SECONDS
    ) -> list[ParameterInfo]:
        """Return the arguments that a function takes by name.

        Raises `Invalid` where there is none, or it isn't known within `patience`.
        """
        await self.ready(func_path, patience=patience)
        known, name = self._find(func_path, 0)
        parameters = _sound(known, name).parameters
        if parameters is None:
            return [ParameterInfo(name="kwargs", kind="", required=False, rest=True)]
        return [
            ParameterInfo(
                name=each.name,
                kind=each.annotation,
                required=each.required,
                default=each.default,
                rest=each.by == _REST,
            )
            for each in parameters
            if each.by in (*_BY_NAME, _REST)
        ]

    async def catalogue(self, *, patience: float = LISTING_SECONDS) -> list[FunctionInfo]:
        """Return the public functions that tasks may call, ordered by path.

        Only modules that could hold one are imported; one that fails to, or takes longer than
        `patience`, is left out with a warning. Of a pattern whose first part is not literal (`*`)
        those modules are listed that a task has already called from.
        """
        end = self._clock() + patience
        with self._lock:
            names = {name for search, name in self._known if not search}
        for searched in await self._known_by(
            [(True, pattern) for pattern in self._allowed.patterns], end
        ):
            names.update(searched.found)
        listed = await self._known_by([(False, name) for name in sorted(names)], end)
        infos = [info for answer in listed for info in answer.listed]
        await asyncio.to_thread(self._look_at_loaded)
        return [
            replace(info, changed_on_disk=self.has_changed(info.func_path))
            for info in sorted(infos, key=lambda info: info.func_path)
        ]

    def resolve(self, func_path: str) -> Callable[..., object]:
        """Return the function, imported into this process, however long that takes.

        Raises `Invalid` when there is none or it is not allowed.
        """
        module, name = self._allowed.split(func_path)
        return function_in(import_module(module), module, name, self._allowed)

    async def load(self, func_path: str) -> Callable[..., object]:
        """The same for a service: once a child has imported the module without harm.

        Raises `Invalid`, also when the import hangs in this process.
        """
        module, _ = self._allowed.split(func_path)
        await self._described(func_path)
        while (function := self._loaded.get(func_path)) is None:
            loading = self._load(module, func_path)
            await _wait_for(loading.done, max(loading.since + self._load_limit - self._clock(), 0))
            if not loading.done.done():
                raise invalid(
                    f"importing module {module!r} took longer than {self._load_limit:g} s in the "
                    "service, though not in a process by itself"
                )
            if loading.func_path == func_path:
                return loading.done.result()
        return function

    def loaded(self, func_path: str) -> bool:
        """Whether the function was imported into this process."""
        return func_path in self._loaded

    def has_changed(self, func_path: str) -> bool:
        """Whether the code that runs in this process is another than what is on disk by now.

        As far as was looked; see `look`. A function that was not loaded here has not changed.
        """
        loaded = self._modules.get(self._allowed.split(func_path)[0])
        return loaded is not None and loaded.changed

    def look_is_due(self, func_path: str) -> bool:
        """Whether to `look` again before `has_changed` is asked: at most a few times a second."""
        loaded = self._modules.get(self._allowed.split(func_path)[0])
        return loaded is not None and self._claim_look(loaded)

    def look(self, func_path: str | None = None) -> bool:
        """Look whether the files of all modules, or of a function's, are what they were. Blocks.

        Returns whether something else is known of some module than before.
        """
        if func_path is not None:
            module, _ = self._allowed.split(func_path)
            if loaded := self._modules.get(module):
                loaded.changed = has_changed(loaded.sources)
            return self._compare((False, module))
        self._look_at_loaded()
        with self._lock:
            keys = list(self._known)
        return sum([self._compare(key) for key in keys]) > 0

    def descriptors(self) -> list[int]:
        """What keeps the children alive: no copy of this process is to hold it."""
        return self._importers.descriptors()

    def close(self) -> None:
        """End the children."""
        self._importers.close()

    def _find(self, func_path: str, patience: float | None) -> tuple[_Known, str]:
        """What is known of the function's module, and its name there; raises `Invalid`."""
        module, name = self._allowed.split(func_path)
        key = (False, module)
        if patience != 0 and self._may_have_changed(key):
            self._compare(key)
        while (known := self._found(key, name)) is None:
            asked = self._ask(key, name)
            try:
                asked.done.result(self._seconds_left(asked, patience))
            except TimeoutError:
                with self._lock:
                    asked.put_off = self._asked.get(key) is asked
                if asked.put_off:
                    raise Invalid([_pending(module)]) from None
        return known, name

    def _found(self, key: _Key, name: str | None) -> _Known | None:
        """What is known of a module, and of the function of that name in it."""
        with self._lock:
            known = self._known.get(key)
        if known is None or (known.until is not None and known.until <= self._clock()):
            return None
        told = known.answer.fault is not None or name is None or name in known.functions
        return known if told else None

    def _ask(self, key: _Key, name: str | None) -> _Asked:
        """Have a child import a module, unless one does already."""
        search, module = key
        with self._lock:
            asked, known = self._asked.get(key), self._known.get(key)
            if asked is not None:
                return asked
            asked = self._asked[key] = _Asked(since=self._clock())
        more = known is not None and known.answer.fault is None and known.until is None
        question = Question(
            module=module,
            names=() if name is None else (name,),
            search=search,
            whole=not more,
            patterns=self._allowed.patterns,
        )
        if _is_own(module):
            self._take(key, answer(question))
        else:
            # What failed before, or has changed, is not to find its old parts in the child.
            anew = known is not None and not more and not search
            future = self._importers.ask(question, anew=anew)
            future.add_done_callback(lambda future: self._take(key, future.result()))
        return asked

    def _take(self, key: _Key, told: Answer) -> None:
        """Remember an answer; on any thread."""
        now, until = self._clock(), None
        # A child that had a file from an earlier module may have an old one.
        stale = not _is_own(key[1]) and has_changed(told.sources)
        if told.harmful:
            until = now + HARMFUL_KEPT
        elif told.fault is not None or key[0]:
            until = now + FAILURE_KEPT
        if stale:
            until = now
        with self._lock:
            asked, known = self._asked.pop(key), self._known.get(key)
            if len(self._known) >= self._most_known:
                self._forget_failures()
            if told.whole or known is None or told.fault is not None:
                self._known[key] = _Known(
                    answer=told,
                    functions=dict(told.functions),
                    until=until,
                    compared=now,
                    stale=stale,
                )
            else:
                known.functions.update(told.functions)
        asked.done.set_result(None)
        if asked.put_off:
            self._answered()

    def _forget_failures(self) -> None:
        """Make room for others; those that do harm are not to be tried again for that."""
        self._known = {
            key: known
            for key, known in self._known.items()
            if known.answer.fault is None or known.answer.harmful
        }

    def _may_have_changed(self, key: _Key) -> bool:
        with self._lock:
            known = self._known.get(key)
        return known is not None and known.compared + COMPARED_SECONDS <= self._clock()

    def _compare(self, key: _Key) -> bool:
        """Forget what is known of a module whose files have changed; whether they have."""
        with self._lock:
            known = self._known.get(key)
        if known is None or known.stale:
            return False
        known.compared = self._clock()
        if has_changed(known.answer.sources):
            known.until, known.stale = self._clock(), True
        return known.stale

    def _seconds_left(self, asked: _Asked, patience: float | None) -> float | None:
        """How long to wait for an answer; not at all while several others take long already."""
        if not patience:
            return patience
        with self._lock:
            since = [one.since + patience for one in self._asked.values() if one is not asked]
        now = self._clock()
        hanging = sum(end <= now for end in since)
        return max(asked.since + patience - now, 0) if hanging < SEVERAL else 0

    async def _known_by(self, keys: Sequence[_Key], end: float) -> list[Answer]:
        """What is known of these modules before the time is over, of those that are sound."""
        for key in keys:
            if self._may_have_changed(key):
                await asyncio.to_thread(self._compare, key)
            if self._found(key, None) is None:
                # One after the other by one child, but for those that take long.
                left = min(LISTED_APART_SECONDS, end - self._clock())
                await _wait_for(self._ask(key, None).done, max(left, 0))
        answers = []
        for key in keys:
            if self._found(key, None) is None:
                await _wait_for(self._ask(key, None).done, max(end - self._clock(), 0))
            known = self._found(key, None)
            fault = known.answer.fault if known else _pending(key[1]).reason
            if known is None or fault is not None:
                log.warning("functions_not_listed: %s", f"{key[1]}: {fault}")
            else:
                answers.append(known.answer)
        return answers

    async def _described(self, func_path: str) -> Description:
        """What is known of a function, once it is; raises `Invalid`."""
        while True:
            await self.ready(func_path)
            try:
                known, name = self._find(func_path, 0)
            except Invalid as invalid:
                if not is_pending(invalid.faults):
                    raise
                continue  # its file has changed at this very moment
            return _sound(known, name)

    def _load(self, module: str, func_path: str) -> _Loading:
        """Have a function on a thread of its own, or what that module's thread has in hand."""
        with self._lock:
            loading = self._loading.get(module)
            if loading is not None:
                return loading
            if len(self._loading) >= MOST_LOADING:
                raise invalid(
                    f"{len(self._loading)} modules are being imported into the service already, "
                    "and hang"
                )
            loading = self._loading[module] = _Loading(func_path=func_path, since=self._clock())

        def run() -> None:
            failure: BaseException | None = None
            try:
                function = self.resolve(func_path)
                self._note_files(module)
                self._loaded[func_path] = function
            except BaseException as error:
                failure = error
            with self._lock:
                del self._loading[module]
            if failure is None:
                loading.done.set_result(self._loaded[func_path])
            else:
                loading.done.set_exception(failure)

        threading.Thread(target=run, name="taskservice-import", daemon=True).start()
        return loading

    def _note_files(self, module: str) -> None:
        """Remember the files of a module that was imported here, as they were at the first time."""
        sources = sources_of(module)
        with self._lock:
            if module not in self._modules:
                first = tuple(self._files.setdefault(one.file, one) for one in sources)
                self._modules[module] = _Loaded(sources=first, compared=self._clock())

    def _look_at_loaded(self) -> None:
        for loaded in list(self._modules.values()):
            if self._claim_look(loaded):
                loaded.changed = has_changed(loaded.sources)

    def _claim_look(self, loaded: _Loaded) -> bool:
        with self._lock:
            now = self._clock()
            due = loaded.compared + COMPARED_SECONDS <= now
            loaded.compared = now if due else loaded.compared
            return due


def _sound(known: _Known, name: str) -> Description:
    """The function; raises `Invalid` where there is none."""
    description = known.functions.get(name)
    fault = known.answer.fault or (description and description.fault)
    if fault or description is None:
        raise invalid(fault or f"there is no {name!r}")
    return description


async def _wait_for(done: Future[Any], seconds: float | None) -> None:
    if not done.done():
        # A future that is waited for like this is not cancelled with who waits.
        await asyncio.wait([asyncio.wrap_future(done)], timeout=seconds)


def _is_own(module: str) -> bool:
    """Whether a module, or what a pattern stands for, is a part of the service itself."""
    return module.startswith("taskservice.")


def _pending(module: str) -> Pending:
    reason = f"module {module!r} is still being imported, and is checked as soon as that is done"
    return Pending(field="func_path", reason=reason)


def _signature(parameters: Sequence[Parameter]) -> inspect.Signature:
    """A signature that binds as the function's own does."""
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(
                each.name,
                inspect._ParameterKind(each.by),
                default=empty if each.required or each.by in _VARIABLE else None,
            )
            for each in parameters
        ]
    )


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
        reason = f"the function has no such argument{nearest(name, ordered)}"
        return _argument_fault(name, reason)

    return [*faults, *of_each(unknown, unknown_fault)]


def _argument_fault(name: str, reason: str) -> Fault:
    return Fault(field=f"func_args.{name}", reason=reason)
