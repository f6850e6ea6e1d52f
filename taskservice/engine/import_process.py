"""The child's side of an import that must do the service no harm: see `importers`."""

import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from taskservice.engine.descriptions import Question, answer
from taskservice.engine.fresh_code import take_fresh_code
from taskservice.engine.import_path import keep_own
from taskservice.engine.sources import Source


def encode(question: Question, sys_path: Sequence[str], own_names: Sequence[str]) -> bytes:
    """The message that asks a question, to be answered with this `sys.path`.

    `own_names` are those of modules that are found where the process begins.
    """
    return json.dumps([asdict(question), sys_path, own_names]).encode() + b"\n"


def serve(questions: int, answers: int, lifeline: int) -> None:
    """Answer what comes over these pipes until the first is closed.

    `lifeline` is the reading end of a pipe that the service holds open: this process, and those
    that a module started, die when it is closed.
    """
    _die_with_service(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_fresh_code()
    own, seen = os.getpid(), dict[str, Source]()
    for descriptor in (questions, answers, lifeline):
        os.set_inheritable(descriptor, False)
    with open(questions, "rb") as asked, open(answers, "wb") as out:
        for message in asked:
            told = _answered(json.loads(message), seen)
            if os.getpid() != own:
                os._exit(0)  # a copy that a module forked, and that came back from it
            out.write(told)
            out.flush()


def _answered(asked: Any, seen: dict[str, Source]) -> bytes:
    question, sys_path, own_names = asked
    if sys.path != sys_path:
        keep_own(own_names, sys.path)
        sys.path[:] = sys_path
    found = answer(Question(**question))
    # A file that was there for an earlier module is told as it was then: so it was imported.
    found = replace(found, sources=[seen.setdefault(one.file, one) for one in found.sources])
    sys.stdout.flush()
    return json.dumps(asdict(found)).encode() + b"\n"


def _die_with_service(lifeline: int) -> None:
    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="taskservice-lifeline", daemon=True).start()
    # A module that doesn't let go of the interpreter keeps that thread from running:
    # Linux sends the signal by itself when the pipe's other end is closed.
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
