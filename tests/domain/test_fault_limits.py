"""How many faults are told, and that the others are counted."""

import json
from typing import Any

import pytest

from taskservice.domain.errors import (
    LONGEST_FIELD,
    LONGEST_ID,
    LONGEST_PATH,
    LONGEST_REASON,
    Fault,
)
from taskservice.domain.fault_limits import (
    IN_ALL,
    OF_FILE,
    OF_TASK,
    of_all,
    of_each,
    of_file,
    of_task,
)


def some(number: int, path: str = "a.yaml", task_id: str | None = "t") -> list[Fault]:
    return [
        Fault(reason=f"wrong {n}", field=f"x{n}", task_id=task_id, path=path, line=n + 1, column=1)
        for n in range(number)
    ]


def counted(faults: list[Fault]) -> int:
    """How many faults these stand for."""
    return sum(fault.more or 1 for fault in faults)


def test_of_a_task_twenty_are_told_and_the_rest_is_counted() -> None:
    assert of_task(some(OF_TASK)) == some(OF_TASK)
    told = of_task(some(70_000))
    assert told[:-1] == some(OF_TASK)
    assert told[-1].reason == "and 69,980 more faults of this task"
    assert (told[-1].field, told[-1].task_id, told[-1].line) == (None, "t", OF_TASK)
    assert of_task(some(OF_TASK + 1))[-1].reason == "and 1 more fault of this task"


def test_what_is_counted_already_is_counted_on() -> None:
    told = of_task([*of_task(some(50)), *some(7)])
    assert len(told) == OF_TASK + 1
    assert counted(told) == 57
    assert of_task(told) == told
    # Where nothing is told by itself, there is still a number.
    assert counted(of_task([Fault(reason="", more=5)])) == 5


def test_of_a_file_a_hundred_are_told_and_no_task_takes_all_of_them() -> None:
    faults = some(500, task_id=None) + some(500, task_id="u") + some(30, task_id="v")
    told = of_file(faults)
    assert sum(not fault.more for fault in told) == OF_FILE
    assert counted(told) == 1030
    assert [fault.reason for fault in told if fault.more] == [
        "and 480 more faults of this task",
        "and 10 more faults of this task",
        "and 440 more faults in this file",
    ]
    assert told == sorted(told, key=lambda fault: fault.place)
    assert of_file(told) == told
    assert counted(of_file(faults, 1)) == 1030
    assert len(of_file(faults, 1)) == 2


def test_of_many_files_each_has_its_first_fault_told_before_any_has_its_second() -> None:
    faults = [one for n in range(700) for one in some(3, f"{n:04}.yaml")]
    told = of_all(faults)
    assert len(told) == IN_ALL + 1
    assert len({fault.path for fault in told[:-1]}) == 700
    assert (told[-1].path, told[-1].reason) == (None, "and 1,100 more faults in all files together")
    assert told[:-1] == sorted(told[:-1], key=lambda fault: fault.place)
    assert of_all(faults[:30]) == faults[:30]
    assert of_all([]) == []
    loose = [Fault(reason="of no file"), *faults[:3]]
    assert of_all(loose) == loose


def test_all_that_are_told_have_a_size_together() -> None:
    faults = [Fault(reason="早" * 1000, path=f"{n}.yaml", line=1, column=1) for n in range(500)]
    told = of_all(faults, most_bytes=60_000)
    assert counted(told) == 500
    assert len(json.dumps([fault.as_json() for fault in told])) < 62_000
    assert len(told) == 10


def test_few_faults_are_made_of_many_things() -> None:
    made: list[int] = []

    def fault(number: int) -> Fault:
        made.append(number)
        return Fault(reason=str(number))

    assert counted(of_each(range(100_000), fault)) == 100_000
    assert made == list(range(OF_TASK))
    assert of_each([], fault) == []


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("reason", LONGEST_REASON),
        ("field", LONGEST_FIELD),
        ("task_id", LONGEST_ID),
        ("path", LONGEST_PATH),
    ],
)
def test_the_texts_of_a_fault_are_bounded_and_can_be_encoded(name: str, longest: int) -> None:
    for given, told in (
        ("x" * longest, "x" * longest),
        ("早" * (longest + 1), "早" * (longest - 1) + "…"),
        ("a\ud800b", "a?b"),
        ("a🙂", "a🙂"),
    ):
        texts: dict[str, Any] = {"reason": "", name: given}
        assert getattr(Fault(**texts), name) == told


def test_programs_are_told_of_a_fault_what_people_are() -> None:
    assert some(1)[0].as_json() == {
        "reason": "wrong 0", "field": "x0", "task_id": "t", "path": "a.yaml", "line": 1, "column": 1
    }  # fmt: skip
