"""Functions for the executors' tests; each does one thing that a task's function may do."""

import asyncio
import ctypes
import functools
import logging
import multiprocessing.forkserver
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

from taskservice import current_execution, task

log = logging.getLogger("tests.work")


@task(name="Addition", description="Add two numbers.")
def add(a: int, b: int = 1) -> int:
    """Return a sum."""
    return a + b


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def decorated(function: Callable[..., Awaitable[object]]) -> Callable[..., object]:
    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return call


add_decorated = decorated(add_later)
add_partial = functools.partial(add_later, b=40)


def fail(message: str) -> None:
    raise ValueError(message)


async def fail_later(message: str) -> None:
    await asyncio.sleep(0)
    fail(message)


def leave(status: int) -> None:
    sys.exit(status)


async def leave_later(status: int) -> None:
    leave(status)


def who() -> list[object]:
    execution = current_execution()
    return [execution.id, execution.task_id, execution.attempt]


async def who_later() -> list[object]:
    await asyncio.sleep(0)
    return await asyncio.create_task(_who())


async def _who() -> list[object]:
    return who()


def talk() -> None:
    print("printed")
    print("complained", file=sys.stderr)
    log.info("noted %s", 1)
    log.debug("not seen")


def shout(size: int) -> None:
    sys.stdout.write("x" * size)


def forever() -> None:
    while True:
        pass


def hold_interpreter() -> None:
    """Match for ages without ever letting another thread run."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def touch_and_sleep(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def start_child_and_sleep(path: str) -> None:
    child = subprocess.Popen(["sleep", "600"])
    Path(path).write_text(str(child.pid))
    time.sleep(600)


def start_child_and_return() -> int:
    return subprocess.Popen(["sleep", "600"]).pid


def start_child_and_abort() -> None:
    print(subprocess.Popen(["sleep", "600"]).pid)
    os.abort()


def hand_output_on() -> int:
    """Leave a process behind that keeps the output open, in a session of its own."""
    return subprocess.Popen(["sleep", "600"], start_new_session=True).pid


def leave_hidden(path: str, how: str, end: str) -> None:
    """Leave processes behind in sessions of their own, and end in a way; they note their ids."""
    generations = 3 if how == "bomb" else 1
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if how != "session" and os.fork():
                os._exit(0)
            for _ in range(generations - 1):
                os.fork()
            with open(path, "a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(600)
            os._exit(0)
    while len(Path(path).read_text().split() if Path(path).exists() else ()) < 3 * 2 ** (
        generations - 1
    ):
        time.sleep(0.01)
    if end == "stopped":
        time.sleep(600)
    elif end == "died":
        os._exit(3)


def wait_for_gate(path: str, gate: str) -> str:
    """Note the process's id, and wait until the file `gate` is there."""
    Path(path).write_text(str(os.getpid()))
    while not Path(gate).exists():
        time.sleep(0.01)
    return "through"


def leave_a_thread() -> str:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "returned"


def fork_twin() -> str:
    os.fork()
    return "returned"


def abort() -> None:
    print("before")
    os.abort()


def exit_at_once(status: int) -> None:
    os._exit(status)


def segfault() -> None:
    ctypes.string_at(0)


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(600)


def interrupt_self() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "went on"


def close_stdout() -> str:
    sys.stdout.close()
    log.warning("still logged")
    return "returned"


def close_descriptors() -> str:
    os.close(1)
    os.close(2)
    return "returned"


def run_program() -> None:
    subprocess.run(["echo", "from a program"], check=True)


def answer_nonsense(header: int) -> str:
    """Write into the pipe that is meant for the outcome, and return more than it holds."""
    descriptors = multiprocessing.forkserver.get_inherited_fds()
    assert descriptors is not None
    os.write(descriptors[0], struct.pack("!i", header) + b"abc")
    return "x" * 200_000


def lock() -> object:
    return threading.Lock()


def today() -> date:
    return date(2026, 11, 24)


class Callable_:
    def __call__(self, a: int) -> int:
        return a


instance = Callable_()
number = 3


def pid() -> int:
    """The process that this runs in."""
    return os.getpid()
