"""Imports where neither their hanging nor their exiting does harm: in child processes.

A child imports one module after the other, for to start one takes a tenth of a second, and tells
of each as plain data. One that hangs is killed, and others go on meanwhile in further children.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field

from taskservice.engine.descriptions import Answer, Question, refusal
from taskservice.engine.import_path import kept
from taskservice.engine.import_process import encode
from taskservice.engine.sources import file_found, source_of

IMPORT_SECONDS = 30.0
"""How long an import may take (promise 13 of the contract)."""

IDLE_SECONDS = 10.0
"""How long a child is kept without a question."""

MOST = 8
"""How many children there are at most: so many modules may hang before others wait."""

MOST_WAITING = 1_000
"""How many modules may wait for a child."""

LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes: what thousands of functions take."""

TOO_MANY = "too many modules wait to be imported; try again"

_CHUNK = 64 * 1024
_GONE_SECONDS = 5.0
_START = (
    "import sys; sys.path[:] = {path!r}; "
    "from taskservice.engine.import_process import serve; serve({descriptors})"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """A question with what a child must be like that answers it."""

    question: Question
    sys_path: Sequence[str]
    generation: int
    answer: Future[Answer] = field(default_factory=Future)


class Importers:
    """Children that are made when they are needed, and end when they were idle for some seconds.

    `limit` is how long an import may take, `idle` for how long a child is kept without a
    question, both in seconds; `most` is how many there are at a time, `most_waiting` how many
    questions may wait for one. Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        limit: float = IMPORT_SECONDS,
        idle: float = IDLE_SECONDS,
        most: int = MOST,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.limit = limit
        self._idle_seconds = idle
        self._most = most
        self._most_waiting = most_waiting
        self._state = threading.Condition()
        self._waiting: deque[_Asked] = deque()
        self._children: set[_Child] = set()
        self._threads = self._idle = self._generation = 0
        self._closed = False

    def ask(self, question: Question, *, anew: bool = False) -> Future[Answer]:
        """Have a module imported, with the present `sys.path`; the future has no exception.

        With `anew` by no child that was asked anything before: files have changed since.
        """
        with self._state:
            self._generation += anew
            asked = _Asked(question=question, sys_path=tuple(sys.path), generation=self._generation)
            if self._closed or len(self._waiting) >= self._most_waiting:
                _refuse(asked, "the service is stopping" if self._closed else TOO_MANY)
                return asked.answer
            self._waiting.append(asked)
            if self._idle >= len(self._waiting):
                self._state.notify()
            elif self._threads < self._most:
                self._threads += 1
                threading.Thread(
                    target=self._attend, name="taskservice-importer", daemon=True
                ).start()
        return asked.answer

    def descriptors(self) -> list[int]:
        """What keeps the children alive: no copy of this process is to hold it."""
        return [child.lifeline for child in list(self._children)]

    def close(self) -> None:
        """Kill the children, and refuse whatever is asked; does not wait for their ends."""
        with self._state:
            self._closed = True
            waiting, children = list(self._waiting), list(self._children)
            self._waiting.clear()
            self._state.notify_all()
        for asked in waiting:
            _refuse(asked, "the service is stopping")
        for child in children:
            child.kill()

    def _attend(self) -> None:
        """Put one question after the other to a child; on a thread."""
        child: _Child | None = None
        while (asked := self._take()) is not None:
            if child and not child.can_answer(asked):
                self._end(child)
                child = None
            answer, child = self._put(asked, child)
            asked.answer.set_result(answer)
        if child:
            self._end(child)

    def _take(self) -> _Asked | None:
        """The next question; None where none came for some time."""
        with self._state:
            self._idle += 1
            self._state.wait_for(lambda: self._waiting or self._closed, self._idle_seconds)
            self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None

    def _put(self, asked: _Asked, child: "_Child | None") -> "tuple[Answer, _Child | None]":
        """The answer, and the child that may be asked further; None: it is gone."""
        question = asked.question
        while True:
            used = child is not None
            try:
                child = child or self._start(asked)
            except OSError as error:
                return refusal(f"no process can be started to import it: {error.strerror}"), None
            try:
                return child.ask(question, self.limit), child
            except TimeoutError:
                reason = f"took longer than {self.limit:g} s"
            except EOFError:
                reason = ""
            ended = self._end(child)
            child = None
            if used and not reason:
                continue  # what another module left behind may have ended it
            what = "looking for modules of" if question.search else "importing module"
            file = None if question.search else file_found(question.module)
            return refusal(
                f"{what} {question.module!r} {reason or _exit_in_words(ended)}",
                harmful=True,
                sources=[source_of(file)] if file else [],
            ), None

    def _start(self, asked: _Asked) -> "_Child":
        child = _Child(asked)
        with self._state:
            self._children.add(child)
            closed = self._closed
        if closed:
            child.kill()
        return child

    def _end(self, child: "_Child") -> int | None:
        with self._state:
            self._children.discard(child)
        return child.end()


class _Child:
    """A process that imports: its pipes, and the one that keeps it alive."""

    def __init__(self, asked: _Asked) -> None:
        self._sys_path = asked.sys_path
        self._generation = asked.generation
        self._lock = threading.Lock()
        self._ended = False
        with ExitStack() as ours, ExitStack() as theirs:
            their_questions, self._questions = _pipe(theirs, ours)
            self._answers, their_answers = _pipe(ours, theirs)
            their_lifeline, self.lifeline = _pipe(theirs, ours)
            descriptors = [their_questions, their_answers, their_lifeline]
            # It imports what it needs itself before any folder of users' comes in front.
            self._own_names, own_path = kept()
            code = _START.format(path=own_path, descriptors=", ".join(map(str, descriptors)))
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a module prints is no answer of a command's
                pass_fds=descriptors,
                env={name: value for name, value in os.environ.items() if not _is_ours(name)},
                start_new_session=True,
            )
            self._status = os.pidfd_open(self._process.pid)
            ours.callback(os.close, self._status)
            self._resources = ours.pop_all()

    def can_answer(self, asked: _Asked) -> bool:
        """Whether nothing has changed since this process began."""
        return self._sys_path == asked.sys_path and self._generation == asked.generation

    def ask(self, question: Question, limit: float) -> Answer:
        """Have a module imported; raises TimeoutError, and EOFError when the process is gone."""
        end = time.monotonic() + limit
        try:
            _write(self._questions, encode(question, self._sys_path, self._own_names))
            return Answer.decoded(json.loads(self._line(end)))
        except TimeoutError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # It is gone, or what it says makes no sense any more.
            raise EOFError from None

    def _line(self, end: float) -> bytes:
        """What the process says, up to the end of the line."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._status, select.POLLIN)
        said = bytearray()
        while not said.endswith(b"\n"):
            ready = {
                descriptor for descriptor, _ in poll.poll(max(end - time.monotonic(), 0) * 1000)
            }
            if not ready:
                raise TimeoutError
            chunk = os.read(self._answers, _CHUNK) if self._answers in ready else b""
            said += chunk
            if not chunk or len(said) > LONGEST_ANSWER:
                raise EOFError
        return bytes(said)

    def kill(self) -> None:
        """Kill the process and those that it started."""
        with self._lock:
            # Until it is waited for nobody else gets its number.
            if not self._ended:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> int | None:
        """The exit status of the process, which is gone or killed; None: it can't be killed."""
        self.kill()
        with self._lock:
            self._ended = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GONE_SECONDS)
        self._resources.close()
        return self._process.returncode


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe whose ends these close."""
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _refuse(asked: _Asked, reason: str) -> None:
    asked.answer.set_result(refusal(reason))


def _is_ours(name: str) -> bool:
    """Whether a variable is the service's own, which no code of a user's is told."""
    return name.startswith("TASKSERVICE_")


def _exit_in_words(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"ended the process with exit status {exit_code or 0}"
    try:
        name = f" ({signal.Signals(-exit_code).name})"
    except ValueError:
        name = ""
    return f"ended the process by signal {-exit_code}{name}"
