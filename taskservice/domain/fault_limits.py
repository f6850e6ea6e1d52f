"""How many faults are told of a task, of a file and in all; those beyond are counted.

The limits of a task and of a file are those of section 4 of the contract.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from taskservice.domain.errors import Fault

OF_TASK = 20
OF_FILE = 100
IN_ALL = 1000
BYTES_IN_ALL = 256 * 1024
"""Bytes of all that are told, as JSON: quoted for a statement they may be twice as many, and
together still less than a packet of MySQL."""


T = TypeVar("T")


def rest(number: int, whose: str) -> str:
    """The reason of a fault that stands for that many."""
    return f"and {number:,} more {'fault' if number == 1 else 'faults'} {whose}"


def of_each(wrong: Sequence[T], fault: Callable[[T], Fault]) -> list[Fault]:
    """The fault of each of the first things that are wrong; one more counts the others.

    However many there are, few faults are made.
    """
    told = [fault(one) for one in wrong[:OF_TASK]]
    more = len(wrong) - len(told)
    return [*told, Fault(reason=rest(more, "of this kind"), more=more)] if more else told


def of_task(faults: Iterable[Fault]) -> list[Fault]:
    """The first faults of one task; one more at their end counts the others."""
    told: list[Fault] = []
    more = 0
    for fault in faults:
        if fault.more or len(told) == OF_TASK:
            more += fault.more or 1
        else:
            told.append(fault)
    return [*told, *_counted(told, more, "of this task")]


def of_file(faults: Iterable[Fault], most: int = OF_FILE) -> list[Fault]:
    """The first `most` faults of one file, by their places, no task's beyond its own limit.

    One more at their end counts the others.
    """
    by_task: dict[str | None, list[Fault]] = {}
    for fault in faults:
        by_task.setdefault(fault.task_id, []).append(fault)
    shared = by_task.pop(None, [])
    found = [one for several in by_task.values() for one in of_task(several)]
    found += [one for one in shared if not one.more]
    more = sum(one.more for one in shared)
    told: list[Fault] = []
    number = 0
    for fault in sorted(found, key=lambda one: one.place):
        if number == most:
            more += fault.more or 1
        else:
            told.append(fault)
            number += not fault.more
    return [*told, *_counted(told, more, "in this file", task_id=None)]


def of_all(
    faults: Iterable[Fault], *, most: int = IN_ALL, most_bytes: int = BYTES_IN_ALL
) -> list[Fault]:
    """Faults of many files, by their places; the first of each file go before any second one.

    One more at their end, of no file, counts the others.
    """
    by_path: dict[str | None, list[Fault]] = {}
    for fault in faults:
        by_path.setdefault(fault.path, []).append(fault)
    files = [of_file(by_path[path]) for path in sorted(by_path, key=lambda path: path or "")]
    told: list[Fault] = []
    size = 0
    for fault in _in_turn(files):
        size += len(json.dumps(fault.as_json()))
        if len(told) == most or size > most_bytes:
            break
        told.append(fault)
    left = sum(one.more or 1 for file in files for one in file)
    left -= sum(one.more or 1 for one in told)
    told.sort(key=lambda one: one.place)
    if left:
        told.append(Fault(reason=rest(left, "in all files together"), more=left))
    return told


def _in_turn(files: Sequence[Sequence[Fault]]) -> Iterable[Fault]:
    """The first of each, the second of each, and so on."""
    for number in range(max(map(len, files), default=0)):
        for file in files:
            if number < len(file):
                yield file[number]


def _counted(told: Sequence[Fault], more: int, whose: str, **place: None) -> list[Fault]:
    """The fault that counts the others, where the last of those told stands; none for none."""
    if not more:
        return []
    last = max(told, key=lambda one: one.place, default=Fault(reason=""))
    return [replace(last, field=None, reason=rest(more, whose), more=more, **place)]
